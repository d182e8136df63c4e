package config

import (
	"strings"

	"github.com/spf13/cobra"
)

// Error is everything that is wrong with a configuration.
type Error struct {
	Problems []Problem
}

// Problem is one mistake.
type Problem struct {
	Where   string `json:"where,omitempty"` // FILE:LINE, FILE, or the name of the variable; "" for what does not go together
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// String is the mistake on one line.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + p.Message
}

// Nearest are those of known that somebody may have meant, by the rule of cobra for commands: at most two letters differ, or it begins so.
func Nearest(typed string, known []string) []string {
	c := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, name := range known {
		c.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	return c.SuggestionsFor(typed)
}

// DidYouMean is the end of a message about something that is not known, "" if nothing is near.
func DidYouMean(typed string, known []string) string {
	near := Nearest(typed, known)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}
