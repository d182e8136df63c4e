package page

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
)

// sent is one Server-Sent Event.
type sent struct{ id, kind, data string }

// follow opens a stream and returns what comes.
func follow(t *testing.T, url string) (<-chan sent, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	ch := make(chan sent, 100)
	go func() { // ends with the body
		defer close(ch)
		var e sent
		var data []string
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				data = append(data, value)
			case "":
				e.data = strings.Join(data, "\n")
				ch <- e
				e, data = sent{}, nil
			}
		}
	}()
	return ch, res
}

func next(t *testing.T, ch <-chan sent) sent {
	t.Helper()
	select {
	case e := <-ch:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("nothing comes")
		return sent{}
	}
}

func TestStream(t *testing.T) {
	s := full()
	s.st.Draining = nil
	srv := httptest.NewServer(New(Options{Server: s, Place: Ops}))
	t.Cleanup(srv.Close)
	ch, res := follow(t, srv.URL)
	if res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", res.Header)
	}
	if e := next(t, ch); e.kind != "edition" || e.data != edition {
		t.Fatalf("first %+v", e)
	}
	if e := next(t, ch); e.kind != "page" || !strings.HasPrefix(e.id, "3.") || !strings.Contains(e.data, `data-generation="3"`) || strings.Contains(e.data, "<html") {
		t.Fatalf("then %+v", e)
	}
	s.set(func(st *admin.Status) { st.Generation, st.State = 4, "probation" })
	if e := next(t, ch); e.kind != "page" || !strings.HasPrefix(e.id, "4.") || !strings.Contains(e.data, "serving on probation") {
		t.Errorf("after a change: %+v", e)
	}
	s.events <- admin.Event{} // nothing that shows
	close(s.events)
	if e := next(t, ch); e.kind != "bye" {
		t.Errorf("at the end: %+v", e)
	}
	if _, open := <-ch; open {
		t.Error("more after bye")
	}
}

// TestStreamOfOneThatDrains: a browser may come back by the connection that it has, which is closed then.
func TestStreamOfOneThatDrains(t *testing.T) {
	s := full()
	s.st.State = "draining"
	srv := httptest.NewServer(New(Options{Server: s, Place: Ops}))
	t.Cleanup(srv.Close)
	ch, res := follow(t, srv.URL)
	if e := next(t, ch); e.kind != "bye" || !res.Close {
		t.Errorf("%+v, header %v", e, res.Header)
	}
	if e, open := <-ch; open {
		t.Errorf("more after bye: %+v", e)
	}
}

// TestStreamTellsCounts: nobody sends events about connections.
func TestStreamTellsCounts(t *testing.T) {
	s := full()
	srv := httptest.NewServer(New(Options{Server: s, Place: Ops}))
	t.Cleanup(srv.Close)
	ch, _ := follow(t, srv.URL)
	next(t, ch)
	next(t, ch)
	s.mu.Lock()
	s.st.Connections = 41
	s.mu.Unlock()
	if e := next(t, ch); !strings.Contains(e.data, "<dd>41</dd>") {
		t.Errorf("%+v", e)
	}
}

func TestManyLook(t *testing.T) {
	s := full()
	p := &page{o: Options{Server: s}, now: time.Now}
	p.streams.Store(maxStreams)
	w := httptest.NewRecorder()
	p.stream(w, httptest.NewRequest("GET", "/stream", nil))
	if w.Code != http.StatusServiceUnavailable || p.streams.Load() != maxStreams || s.follows != 0 {
		t.Errorf("%d, %d streams", w.Code, p.streams.Load())
	}
}

// BenchmarkLive is what a change costs, however many look.
func BenchmarkLive(b *testing.B) {
	s := full()
	p := &page{o: Options{Server: s, Place: Ops}, now: time.Now}
	html := ""
	for b.Loop() {
		p.rendered = [2]rendering{}
		var err error
		if html, err = p.live(audience{Buttons: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(html)), "B/page")
	b.ReportMetric(float64(len(style.content)), "B/style")
	b.ReportMetric(float64(len(script.content)), "B/script")
}
