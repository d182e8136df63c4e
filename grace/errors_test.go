package grace

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestHandoverErrorTellsLastWords(t *testing.T) {
	for words, want := range map[string]string{
		"": "",
		"reading config\ncannot read the configuration\n":                             "cannot read the configuration",
		"panic: index out of luck\n\ngoroutine 7 [running]:\nmain.f()\n\tx.go:1 +0x1": "panic: index out of luck",
		"\x1b[31mred\x07\n":       "[31mred",
		strings.Repeat("é", 4000): strings.Repeat("é", 100) + "…",
	} {
		err := error(&HandoverError{Cause: CauseExited, Path: "/opt/app", Err: errors.New("exit status 3"), LastWords: words})
		got := err.Error()
		text := "hand over to /opt/app: exited: exit status 3"
		if want != "" {
			text += " (its last words: " + want + ")"
		}
		if got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

func TestBusyError(t *testing.T) {
	err := fmt.Errorf("upgrade: %w", &BusyError{Standby})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("%v", err)
	}
}
