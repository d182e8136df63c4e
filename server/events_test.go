package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// collect reads what a channel has to give until it is closed, or has nothing more.
func collect(ch <-chan admin.Event) (ids []string, closed bool) {
	for {
		select {
		case e, ok := <-ch:
			if !ok {
				return ids, true
			}
			ids = append(ids, e.ID)
		default:
			return ids, false
		}
	}
}

func TestHub(t *testing.T) {
	h := newHub()
	tell := func(n int) {
		for range n {
			h.tell(admin.Event{Generation: 3, Kind: admin.KindState})
		}
	}
	tell(2)
	fresh, cancel := h.subscribe("")
	tell(2)
	if ids, closed := collect(fresh); !slices.Equal(ids, []string{"3.3", "3.4"}) || closed {
		t.Errorf("a new reader got %v, closed %v", ids, closed)
	}
	cancel()
	cancel()
	if _, closed := collect(fresh); !closed {
		t.Error("open after cancel")
	}
	again, cancel := h.subscribe("3.1")
	defer cancel()
	if ids, _ := collect(again); !slices.Equal(ids, []string{"3.2", "3.3", "3.4"}) {
		t.Errorf("after 3.1: %v", ids)
	}
	other, cancel := h.subscribe("2.9")
	defer cancel()
	if ids, _ := collect(other); len(ids) != 4 {
		t.Errorf("who comes from the predecessor got %v", ids)
	}

	// Who does not read is dropped, and nobody waits for him.
	tell(remembered + slack + 1)
	if ids, closed := collect(other); !closed || len(ids) != remembered+slack {
		t.Errorf("%d events for one who does not read, closed %v", len(ids), closed)
	}
	all, cancel := h.subscribe("3.1")
	defer cancel()
	if ids, _ := collect(all); len(ids) != remembered || ids[0] != "3.70" {
		t.Errorf("%d are remembered from %s", len(ids), ids[0])
	}
	h.dismiss()
	if _, closed := collect(all); !closed {
		t.Error("open after dismiss")
	}
	late, _ := h.subscribe("3.1")
	if ids, closed := collect(late); !closed || len(ids) != remembered {
		t.Errorf("who comes after dismiss got %d events, closed %v", len(ids), closed)
	}
	h.resume()
	back, cancel := h.subscribe("")
	defer cancel()
	if _, closed := collect(back); closed {
		t.Error("closed after resume")
	}
}

// A download would fill the memory of the hub, and push out what matters.
func TestProgressIsThinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(Service{})
		r.p = newFakeProcess(t.TempDir())
		for done := range int64(101) {
			r.tellProgress(updater.Event{Phase: updater.PhaseFetch, Done: done, Total: 100})
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
		}
		r.tellProgress(updater.Event{Phase: updater.PhaseVerify})
		if n := len(r.hub.ring); n < 4 || n > 8 {
			t.Errorf("%d events of one download of a second", n)
		}
		if last := r.hub.ring[len(r.hub.ring)-2].Upgrade.Event; last.Done != 100 {
			t.Errorf("the end of it was not told, but %+v", last)
		}
	})
}

// stream reads Server-Sent Events off the admin socket.
type stream struct {
	t    *testing.T
	body *bufio.Reader
}

type said struct{ id, kind, data string }

func (b *bench) stream(after string) *stream {
	b.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", b.r.place.sock)
	}}}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://admin/v1/events", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { res.Body.Close() })
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		b.t.Fatalf("it is %s", kind)
	}
	return &stream{b.t, bufio.NewReader(res.Body)}
}

func (s *stream) next() (e said) {
	s.t.Helper()
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the stream ended without a word: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if e.kind != "" {
				return e
			}
		}
	}
}

// A stream begins with the status, tells what happens, and ends with the word that sends its reader to the successor.
func TestEventStream(t *testing.T) {
	b := newBench(t, Service{})
	b.u.upgrade = func(_ context.Context, r updater.Request) (updater.Outcome, error) {
		r.Events(updater.Event{Phase: updater.PhaseVerify, Version: "1.1.0"})
		b.r.onEvent(grace.Event{Step: grace.StepSpawned, Generation: 2, PID: 7, Took: 1500 * time.Millisecond})
		return updater.Outcome{Changed: true, To: "1.1.0"}, nil
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	s := b.stream("")
	var st admin.Status
	if e := s.next(); e.kind != "status" || json.Unmarshal([]byte(e.data), &st) != nil || st.App != "hello" {
		t.Errorf("the stream begins with %+v", e)
	}
	if _, err := b.r.Change(t.Context(), false, admin.Request{}, func(updater.Event) {}); err != nil {
		t.Fatal(err)
	}
	first := s.next()
	for _, want := range []string{`"phase":"verify"`, `"step":"spawned","of":2,"pid":7,"took_seconds":1.5`, `"to":"1.1.0"`} {
		if !strings.Contains(first.data, want) || !strings.HasPrefix(first.id, "1.") {
			t.Errorf("told %+v, want %s", first, want)
		}
		if want != `"to":"1.1.0"` {
			first = s.next()
		}
	}
	missed := b.stream(strings.Split(first.id, ".")[0] + ".1")
	if e := missed.next(); e.kind != "status" {
		t.Errorf("who comes back gets %+v first", e)
	}
	if e := missed.next(); e.id != "1.2" {
		t.Errorf("after 1.1 comes %+v", e)
	}
	b.r.onEvent(grace.Event{Step: grace.StepCommitted, Generation: 2})
	last := s.next()
	if last.kind != string(admin.KindState) {
		t.Errorf("the commit was told as %+v", last)
	}
	if last = s.next(); last.kind != "bye" {
		t.Errorf("the last word is %+v", last)
	}
	b.finish()
}
