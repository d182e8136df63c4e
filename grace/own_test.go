package grace

import (
	"log/slog"
	"os"
	"testing"
)

// TestLateHangup: a HUP that reached the predecessor after it had sent COMMIT is ours to carry out.
func TestLateHangup(t *testing.T) {
	mail := make(chan message, 1)
	mail <- newMessage(msgHangup)
	p := &Process{log: slog.New(slog.DiscardHandler), mail: mail, hangups: make(chan os.Signal), stops: make(chan os.Signal), requests: make(chan *request)}
	p.set(Serving)
	if next := p.serving(); next == nil || !p.hangupKept {
		t.Error("the HUP is lost")
	}
}
