package grace

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMessageRoundTrip(t *testing.T) {
	for _, m := range []message{
		newMessage(msgReady),
		newMessage(msgFail, "reason", "a&b=c?\n\x00 ü"),
		{kind: msgOffer, fields: url.Values{"socket": {"a=1", "a=2"}, "later": {"unknown"}}},
	} {
		var buf bytes.Buffer
		if err := writeMessage(&buf, m); err != nil {
			t.Fatal(err)
		}
		got, err := readMessage(&buf)
		if err != nil || got.kind != m.kind || !reflect.DeepEqual(got.fields, m.fields) {
			t.Errorf("got %v, %v; want %v", got, err, m)
		}
	}
}

func TestReadMessageRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":     "",
		"half a head": "\x00\x00",
		"too long":    "\xff\xff\xff\xff",
		"cut":         "\x00\x00\x00\x09READY?",
	} {
		if m, err := readMessage(strings.NewReader(in)); err == nil {
			t.Errorf("%s: read as %v", name, m)
		}
	}
	if err := writeMessage(io.Discard, newMessage(msgFail, "reason", strings.Repeat("x", maxFrame))); err == nil {
		t.Error("a frame over the limit was sent")
	}
}

// TestReadMessageOfALaterForm: what cannot be read as a query does not end the link, and the next frame follows.
func TestReadMessageOfALaterForm(t *testing.T) {
	in := strings.NewReader("\x00\x00\x00\x0fREADY?a=%zz&b=1" + "\x00\x00\x00\x0bLATER?\xff\x00;;=" + "\x00\x00\x00\x06COMMIT")
	for _, want := range []message{newMessage(msgReady, "b", "1"), {kind: "LATER"}, {kind: msgCommit}} {
		m, err := readMessage(in)
		if err != nil || m.kind != want.kind || m.get("b") != want.get("b") || m.get("a") != "" {
			t.Errorf("read %v, %v, want %v", m, err, want)
		}
	}
}

// TestSendDoesNotBlock: a peer that stopped reading costs sendTimeout, not for ever.
func TestSendDoesNotBlock(t *testing.T) {
	a, b := net.Pipe() // unbuffered: nobody reads b
	defer b.Close()
	l := newLink(a)
	defer l.close()
	began := time.Now()
	if err := l.send(newMessage(msgHealth)); err == nil {
		t.Error("sent to nobody")
	}
	if d := time.Since(began); d > 10*sendTimeout {
		t.Errorf("took %s", d)
	}
}

// TestHalfAFrame: a peer that stops reading in the middle of a frame is given up: what came next would be read as the rest of it.
func TestHalfAFrame(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	l := newLink(a)
	go io.ReadFull(b, make([]byte, 6))
	if err := l.send(newMessage(msgHealth)); !errors.Is(err, errHalf) {
		t.Errorf("%v", err)
	}
	select {
	case <-l.done:
	default:
		t.Error("the link is still open")
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0aREADY?a=bc"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := readMessage(bytes.NewReader(in))
		if err != nil {
			return
		}
		var buf bytes.Buffer
		if err := writeMessage(&buf, m); err != nil {
			return // a query may grow over the limit when it is encoded again
		}
		if again, err := readMessage(&buf); err != nil || !reflect.DeepEqual(again.fields, m.fields) {
			t.Errorf("%v became %v, %v", m, again, err)
		}
	})
}
