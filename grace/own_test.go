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

// TestHeard: whatever state we are in, a stop that our predecessor passes on is one of ours, and its end is no event.
func TestHeard(t *testing.T) {
	p := &Process{mail: make(chan message), told: make(chan os.Signal, 1)}
	p.heard(newMessage(msgStop), true)
	if len(p.told) != 1 {
		t.Error("the stop is lost")
	}
	p.heard(newMessage("SOMETHING LATER"), true)
	p.heard(message{}, false)
	if p.mail != nil || len(p.told) != 1 || p.hangupKept {
		t.Error("the end of the predecessor was taken for something else")
	}
}
