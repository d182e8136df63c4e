package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/cmd/moult/fleet"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// wire counts what goes over the connections of a listener, TLS and all.
type wire struct {
	net.Listener
	up, down atomic.Int64 // bytes, as its clients see them
}

func (w *wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return counted{c, w}, err
}

type counted struct {
	net.Conn
	w *wire
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.w.up.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.w.down.Add(int64(n))
	return n, err
}

// TestSimulatedCosts holds the default costs of simulate against the client and the server of this project, over TLS 1.3 and HTTP/2 with
// a session that is resumed: between two checks lie hours, in which the connection was closed.
func TestSimulatedCosts(t *testing.T) {
	newFeedDir(t)
	srv := httptest.NewUnstartedServer(static{openRoot(t, "feed")})
	w := &wire{Listener: srv.Listener}
	srv.Listener, srv.EnableHTTP2 = w, true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	transport.DisableCompression = true
	root, err := os.ReadFile("feed/metadata/1.root.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tuf.NewClient(srv.URL, root, t.TempDir(), tuf.ClientOptions{App: "hello", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	check := func() (up, down int64) {
		t.Helper()
		w.up.Store(0)
		w.down.Store(0)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Index(t.Context(), "beta", release.Host()); err != nil {
			t.Fatal(err)
		}
		transport.CloseIdleConnections()
		time.Sleep(50 * time.Millisecond) // the goodbye is on its way
		return w.up.Load(), w.down.Load()
	}
	check()
	check()
	up, down := check()
	want(t, 0, "refresh", "feed")
	_, signed := check()
	t.Logf("a check: %d bytes up, %d down; signed again: %d down", up, down, signed)
	d := defaultCost
	for _, x := range []struct {
		what           string
		shipped, found int64
	}{
		{"up", d.Up, up}, {"down", d.Down, down}, {"down, signed again", d.Down + d.Signed, signed},
	} {
		if x.found < x.shipped*3/4 || x.found > x.shipped*5/4 {
			t.Errorf("%s: simulate counts %d bytes, a check has %d", x.what, x.shipped, x.found)
		}
	}
}

func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	args := []string{"simulate", "--hosts", "500", "--interval", "6h", "--plot", dir}
	said := want(t, 0, args...)
	for _, word := range []string{"500 hosts, seed 1", "linear 24 h", "1 h after 10 reports", "no jitter"} {
		if !strings.Contains(said, word) {
			t.Errorf("no %q in\n%s", word, said)
		}
	}
	if again := want(t, 0, args...); again != said {
		t.Error("another run, other figures")
	}
	plots, _ := filepath.Glob(filepath.Join(dir, "*.svg"))
	if len(plots) != 3 {
		t.Errorf("plots %v", plots)
	}
	doc := document(t, want(t, 0, append(args, "--json")...))
	for _, list := range []string{"polling", "adoption", "bad"} {
		if l, _ := doc[list].([]any); len(l) < 5 {
			t.Errorf("%s: %v", list, doc[list])
		}
	}
	if said := want(t, 0, "simulate", "--hosts", "500", "--curve", "linear:3h", "--curve", "now"); !strings.Contains(said, "linear:3h") || strings.Contains(said, "24 h  ") {
		t.Errorf("curves of one's own:\n%s", said)
	}
	for _, bad := range [][]string{
		{"--curve", "up"}, {"--hosts", "0"}, {"--interval", "1s"}, {"--fails", "2"}, {"--off", "-0.1"}, {"--edges", "0"}, {"--reaction", "-1h"}, {"--refresh", "0s"}, {"--max-ages", "-1s"}, {"--interval", "soon"},
	} {
		want(t, 2, append([]string{"simulate"}, bad...)...)
	}
}

// TestScalePage: the tables of docs/explanation/scale.md are what the command in it prints, and its plots what that draws. Each interval is a simulation of its own, so
// that a short run may leave the long ones out.
func TestScalePage(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds")
	}
	const docs = "../../docs/explanation"
	b, err := os.ReadFile(docs + "/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	page := words(string(b))
	_, rest, _ := strings.Cut(string(b), "\n```sh\nmoult ")
	line, _, _ := strings.Cut(rest, "\n")
	args, full, dir := strings.Fields(line), os.Getenv("MOULT_PROMISES") == "full", t.TempDir()
	for i, a := range args {
		switch {
		case a == "docs/explanation/scale":
			args[i] = dir
		case a == "1h,6h,24h" && !full:
			args[i] = "24h"
		}
	}
	for _, c := range fleet.Curves()[1:] {
		_, row, _ := strings.Cut(string(b), "\n| "+c.Name+" |")
		cells := strings.Split(row, "`")
		if points, err := parseCurve(cells[1]); err != nil || !slices.Equal(points, c.Points) {
			t.Errorf("%s is another curve: %v, %v", cells[1], points, err)
		}
	}
	for row := range strings.Lines(want(t, 0, args...)) {
		if !strings.Contains(page, words(row)) {
			t.Errorf("not in the page: %s", row)
		}
	}
	for _, million := range []struct{ hours, perDay int64 }{{1, 24}, {6, 4}, {24, 1}} {
		n := million.perDay * 1_000_000
		row := fmt.Sprintf("| %d M | %.0f | %g GB | %g GB |", million.perDay, float64(2*n)/86400, float64(n*defaultCost.Up)/1e9,
			float64(n*defaultCost.Down+1_000_000*defaultCost.Signed)/1e9)
		if !strings.Contains(page, row) {
			t.Errorf("not in the page: %s", row)
		}
	}
	for _, plot := range []string{"polling.svg", "adoption.svg", "halt.svg"} {
		drawn, err := os.ReadFile(filepath.Join(dir, plot))
		kept, err2 := os.ReadFile(filepath.Join(docs, "scale", plot))
		if err != nil || err2 != nil || full && string(drawn) != string(kept) {
			t.Errorf("%s is not what is drawn now: %v, %v", plot, err, err2)
		}
	}
}

// words is text with single spaces.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }
