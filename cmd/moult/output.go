package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// schema is the number of every JSON document of this program. Fields are added without a new one.
const schema = 1

// result is what a command has to say: a document, and lines for people.
type result interface{ text(w io.Writer) }

// emit prints a result to standard output.
func emit(cmd *cobra.Command, r result) error {
	if !wantsJSON(cmd) {
		r.text(cmd.OutOrStdout())
		return nil
	}
	return writeJSON(cmd.OutOrStdout(), r)
}

func wantsJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// failure is the document of a command that failed.
type failure struct {
	Schema int `json:"schema"`
	Error  struct {
		Message string `json:"message"`
		Hint    string `json:"hint"`
		Code    int    `json:"code"`
	} `json:"error"`
}

// report tells of an error: for people on standard error, as a document on standard output.
func report(cmd *cobra.Command, err error) {
	code, hint := explain(err)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: error: %s\nhint: %s\n", cmd.Root().Name(), printable(err.Error()), hint)
	var said *told
	if wantsJSON(cmd) && !errors.As(err, &said) {
		f := failure{Schema: schema}
		f.Error.Message, f.Error.Hint, f.Error.Code = err.Error(), hint, code
		if err := writeJSON(cmd.OutOrStdout(), f); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: error: %v\n", cmd.Root().Name(), err)
		}
	}
}

func warn(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", cmd.Root().Name(), printable(fmt.Sprintf(format, args...)))
}

// printable takes control characters out of text that may come from a feed.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
