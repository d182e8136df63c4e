package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// failureDocument is what --json prints of a failure.
type failureDocument struct {
	Schema int            `json:"schema"`
	Error  *admin.Failure `json:"error"`
}

// outcomeDocument is what upgrade and rollback print.
type outcomeDocument struct {
	Schema int `json:"schema"`
	updater.Outcome
}

// shownError is a failure that the document on standard output has told already.
type shownError struct{ err error }

func (e *shownError) Error() string { return e.err.Error() }
func (e *shownError) Unwrap() error { return e.err }

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printLine writes one of several documents, each of which has its line.
func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// isDumb reports that the terminal knows no escape sequences.
func isDumb() bool { return os.Getenv("TERM") == "dumb" }

// isTerminal reports whether f is one that a person reads or types on.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// dot is the coloured mark at the head of a status.
func dot(w io.Writer, well bool) string {
	if !isTerminal(w) || isDumb() || os.Getenv("NO_COLOR") != "" {
		return "●"
	}
	if well {
		return "\x1b[32m●\x1b[0m"
	}
	return "\x1b[33m●\x1b[0m"
}

// plain makes text from outside safe to show on a terminal: control characters go.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}

func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// ago is a point in time in words, as far as a person wants to know.
func ago(t time.Time) string {
	d := time.Since(t)
	unit := time.Second
	if d > time.Hour {
		unit = time.Minute
	}
	return d.Round(unit).String() + " ago"
}
