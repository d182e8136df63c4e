package grace

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rounds joins the keepers of one process to the blobs of another by a link.
func rounds(t *testing.T, keepers ...*keeper) (send func(round string), to *blobs) {
	t.Helper()
	a, b := net.Pipe()
	out, in := newLink(a), newLink(b)
	to = &blobs{}
	to.expect()
	in.takes[msgState] = to.receive
	in.over = to.none
	go in.read()
	t.Cleanup(func() { out.close(); in.close() })
	p := &Process{log: slog.New(slog.DiscardHandler), generation: 1, blobs: blobs{keepers: keepers}}
	return func(round string) { p.sendState(&child{link: out}, round) }, to
}

func keep(name string, data []byte) *keeper {
	return &keeper{name: name, version: 3, encode: func(context.Context) ([]byte, error) { return data, nil }}
}

// TestBlobsArriveWhole: of any size, and in any round.
func TestBlobsArriveWhole(t *testing.T) {
	want := map[string][]byte{"empty": {}, "small": []byte("a&b=c\x00"), "a piece": bytes.Repeat([]byte("x"), pieceSize),
		"more": bytes.Repeat([]byte("0123456789"), pieceSize/5)}
	var keepers []*keeper
	for name, data := range want {
		keepers = append(keepers, keep(name, data))
	}
	send, to := rounds(t, keepers...)
	for _, round := range []string{roundStart, roundStandby} {
		send(round)
		for name, data := range want {
			got, ok := to.take(t.Context(), round, name)
			if !ok || got.version != 3 || !bytes.Equal(got.data, data) {
				t.Errorf("%s %q: %t, version %d, %d bytes of %d", round, name, ok, got.version, len(got.data), len(data))
			}
			if _, again := to.take(t.Context(), round, name); again {
				t.Errorf("%s %q: taken twice", round, name)
			}
		}
	}
}

// TestBlobsThatFail: one that fails, panics, hangs or is too large costs nobody else's.
func TestBlobsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		bad := func(name string, f func() ([]byte, error)) *keeper {
			return &keeper{name: name, encode: func(context.Context) ([]byte, error) { return f() }}
		}
		keepers := []*keeper{
			bad("fails", func() ([]byte, error) { return nil, errors.New("no luck") }),
			bad("panics", func() ([]byte, error) { panic("no luck at all") }),
			bad("hangs", func() ([]byte, error) { <-hang; return nil, nil }),
			keep("too large", make([]byte, mostState+1)),
			keep("good", []byte("yes")),
		}
		send, to := rounds(t, keepers...)
		began := time.Now()
		send(roundStart)
		if d := time.Since(began); d != blobPatience {
			t.Errorf("took %s", d)
		}
		began = time.Now()
		send(roundStandby) // what hangs is not asked again
		if d := time.Since(began); d != 0 {
			t.Errorf("the second round took %s", d)
		}
		for _, k := range keepers {
			if _, ok := to.take(t.Context(), roundStandby, k.name); ok != (k.name == "good") {
				t.Errorf("%s: arrived: %t", k.name, ok)
			}
		}
		close(hang)
	})
}

// TestBlobsOfADeadPredecessor: what had arrived whole is there, and nobody waits for the rest.
func TestBlobsOfADeadPredecessor(t *testing.T) {
	bs := &blobs{}
	bs.expect()
	bs.receive(newMessage(msgState, "round", roundStart, "name", "whole", "version", "1", "first", "1", "data", "eA"), -1)
	bs.receive(newMessage(msgState, "round", roundStart, "name", "half", "version", "1", "first", "1", "more", "1", "data", "eA"), -1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := bs.take(ctx, roundStart, "whole"); ok {
		t.Error("taken before the end of the round")
	}
	bs.none()
	if b, ok := bs.take(t.Context(), roundStart, "whole"); !ok || string(b.data) != "x" {
		t.Errorf("whole: %q, %t", b.data, ok)
	}
	if _, ok := bs.take(t.Context(), roundStart, "half"); ok {
		t.Error("half of a blob was taken")
	}
	if _, ok := bs.take(t.Context(), roundStandby, "whole"); ok {
		t.Error("a round that never came")
	}
}

// TestBlobsRefuseJunk: a predecessor of another version may send anything, and as much of it as it likes.
func TestBlobsRefuseJunk(t *testing.T) {
	bs := &blobs{}
	bs.expect()
	piece := strings.Repeat("A", pieceSize)
	for _, m := range []message{
		newMessage(msgState),
		newMessage(msgState, "round", "later", "name", "a", "version", "1", "first", "1", "data", "eA"),
		newMessage(msgState, "round", roundStart, "name", "no beginning", "version", "1", "data", "eA"),
		newMessage(msgState, "round", roundStart, "name", "no base64", "version", "1", "first", "1", "data", "!"),
		newMessage(msgState, "round", roundStart, "name", "no version", "version", "x", "first", "1", "data", "eA"),
		newMessage(msgState, "round", roundStart, "name", "good", "version", "1", "first", "1", "data", "eA"),
		newMessage(msgState, "round", roundStart, "name", "endless", "version", "1", "first", "1", "more", "1", "data", piece),
	} {
		bs.receive(m, -1)
	}
	more := newMessage(msgState, "round", roundStart, "name", "endless", "version", "1", "more", "1", "data", piece)
	for range 2 * mostState / pieceSize {
		bs.receive(more, -1)
	}
	if n := len(bs.rounds[roundStart].got); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
	bs.receive(newMessage(msgState, "round", roundStart, "end", "1"), -1)
	bs.receive(newMessage(msgState, "round", roundStart, "end", "1"), -1)
	if _, ok := bs.take(t.Context(), roundStart, "good"); !ok {
		t.Error("the good one is lost")
	}
	bs.forget()
	if _, ok := (&blobs{}).take(t.Context(), roundStart, "good"); ok { // generation 1, or an older predecessor
		t.Error("a blob from nobody")
	}
}

// FuzzReceiveBlobs: whatever a predecessor sends, no blob is taken that has not arrived whole, and never more than a round may hold.
func FuzzReceiveBlobs(f *testing.F) {
	seed := func(ms ...message) {
		var b bytes.Buffer
		for _, m := range ms {
			writeMessage(&b, m)
		}
		f.Add(b.Bytes())
	}
	seed(newMessage(msgState, "round", roundStart, "name", "a", "version", "1", "data", "eA", "first", "1"),
		newMessage(msgState, "round", roundStart, "end", "1"))
	seed(newMessage(msgState, "round", roundStandby, "name", "a", "version", "1", "data", "eA", "first", "1", "more", "1"),
		newMessage(msgState, "round", roundStandby, "name", "a", "version", "1", "data", "eHg"))
	f.Fuzz(func(t *testing.T, in []byte) {
		bs := &blobs{}
		bs.expect()
		for r := bytes.NewReader(in); ; {
			m, err := readMessage(r)
			if err != nil {
				break
			}
			bs.receive(m, -1)
		}
		bs.none()
		for name, r := range bs.rounds {
			size := 0
			for blob, raw := range r.got {
				if raw.partial {
					t.Errorf("round %s: %q is not whole", name, blob)
				}
				size += len(raw.data)
			}
			if size > mostState || !r.over {
				t.Errorf("round %s: %d bytes, over: %t", name, size, r.over)
			}
		}
	})
}
