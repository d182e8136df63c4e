package command

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moult-go/moult/updater"
)

var download = []updater.Event{
	{Phase: updater.PhaseCheck, Message: "path /drop/hello"},
	{Phase: updater.PhaseFetch, Version: "1.1.0", Done: 0, Total: 1500},
	{Phase: updater.PhaseFetch, Version: "1.1.0", Done: 700, Total: 1500},
	{Phase: updater.PhaseFetch, Version: "1.1.0", Done: 1500, Total: 1500},
	{Phase: updater.PhaseVerify, Version: "1.1.0", Message: "sha256 \x1b[2Jab"},
}

func TestPlainProgress(t *testing.T) {
	var b bytes.Buffer
	p := &progress{mode: progressPlain, w: &b}
	for _, e := range download {
		p.show(e)
	}
	p.end()
	want := "check: path /drop/hello\nfetch 1.1.0 (1.5 kB)\nverify 1.1.0: sha256 [2Jab\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// On a terminal the bytes are a bar, which is gone when the next line comes.
func TestBar(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, terminal: true}
	for i, e := range download {
		p.show(e)
		if drawn := p.bar != nil; drawn != (e.Phase == updater.PhaseFetch) {
			t.Errorf("event %d (%s): bar is drawn: %v", i, e.Phase, drawn)
		}
	}
	p.end()
	if s := b.String(); !strings.Contains(s, "fetch 1.1.0") || !strings.HasSuffix(s, "verify 1.1.0: sha256 [2Jab\n") {
		t.Errorf("drawn %q", s)
	}
}
