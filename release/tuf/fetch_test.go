package tuf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestFetchRefuses(t *testing.T) {
	const content = "the whole executable"
	f := newFeed(t)
	a := f.publish("1.0.0", "beta", content).Artifact.Full
	c := f.client(t.TempDir())
	chunked := func(b string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).Flush() // so that no length is announced
			io.WriteString(w, b)
		}
	}
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		want error
	}{
		"other bytes":            {bytesOf([]byte(strings.ToUpper(content))), ErrDigestMismatch},
		"announced longer":       {bytesOf([]byte(content + "!")), ErrOversized},
		"announced shorter":      {bytesOf([]byte(content[1:])), ErrTruncated},
		"longer, unannounced":    {chunked(content + "!"), ErrOversized},
		"shorter, unannounced":   {chunked(content[1:]), ErrTruncated},
		"endless":                {endless, ErrOversized},
		"empty":                  {bytesOf(nil), ErrTruncated},
		"cut off":                {func(w http.ResponseWriter, r *http.Request) { chunked(content[:5])(w, r); panic(http.ErrAbortHandler) }, ErrUnreachable},
		"html":                   {html, ErrHTML},
		"gone":                   {http.NotFound, ErrNotFound},
		"forbidden":              {status(403), ErrNotFound},
		"broken server":          {status(502), ErrUnreachable},
		"part of it, uninvited":  {status(206), nil},
		"moved, and not said to": {status(304), nil},
	} {
		f.setLie(answer(".hello-linux-amd64", tc.h))
		var got bytes.Buffer
		err := c.Fetch(context.Background(), a, &got)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if int64(got.Len()) > a.Length {
			t.Errorf("%s: wrote %d bytes of %d", name, got.Len(), a.Length)
		}
	}
	f.setLie(nil)
	var got bytes.Buffer
	if err := c.Fetch(context.Background(), a, &got); err != nil || got.String() != content {
		t.Errorf("the true one: %q, %v", got.String(), err)
	}
}

func TestFetchRefusesBadArtifacts(t *testing.T) {
	f := newFeed(t)
	good := f.publish("1.0.0", "beta", "one").Artifact.Full
	c := f.client(t.TempDir())
	for name, change := range map[string]func(*release.Payload){
		"path up":   func(a *release.Payload) { a.Path = "../../keys" },
		"no length": func(a *release.Payload) { a.Length = 0 },
		"no digest": func(a *release.Payload) { a.SHA256 = release.Digest{} },
	} {
		a := good
		change(&a)
		f.took()
		if err := c.Fetch(context.Background(), a, io.Discard); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if got := f.took(); len(got) != 0 {
			t.Errorf("%s: asked for %q", name, got)
		}
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestFetchTellsTheDiskFromTheNetwork(t *testing.T) {
	f := newFeed(t)
	a := f.publish("1.0.0", "beta", "one").Artifact.Full
	err := f.client(t.TempDir()).Fetch(context.Background(), a, fullDisk{})
	if !errors.Is(err, errFull) || errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestFetchGivesUpOnADrip(t *testing.T) {
	f := newFeed(t)
	a := f.publish("1.0.0", "beta", "one").Artifact.Full
	c := f.clientWith(t.TempDir(), ClientOptions{StallWindow: 50 * time.Millisecond})
	f.setLie(answer(".hello-linux-amd64", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "o")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	if err := c.Fetch(context.Background(), a, io.Discard); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c = f.client(t.TempDir())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := c.Fetch(ctx, a, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
