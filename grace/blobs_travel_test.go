//go:build unix

package grace_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() { programs["counter"] = counterProgram }

// counterProgram counts over generations. As a successor it reads from the file "behaviour" how.
func counterProgram() {
	var hits atomic.Int64
	p, err := grace.New(grace.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Probation: 300 * time.Millisecond,
		OnEvent: func(e grace.Event) {
			if e.Step == grace.StepDrained {
				hits.Add(100)
			}
		}})
	if err != nil {
		log.Fatal(err)
	}
	behaviour := ""
	if p.Generation() > 1 {
		b, _ := os.ReadFile("behaviour")
		behaviour = string(b)
	}
	ctx := context.Background()
	counter := grace.Blob[int64]{Name: "counter", Version: 2,
		Encode: func(n int64) ([]byte, error) { return strconv.AppendInt(nil, n, 10), nil },
		Decode: func(version int, data []byte) (int64, error) {
			switch {
			case behaviour == "newer":
				return 0, fmt.Errorf("version %d is too old", version)
			case behaviour == "panics":
				panic("what is that?")
			}
			return strconv.ParseInt(string(data), 10, 64)
		}}
	broken := grace.Blob[int]{Name: "broken", Encode: func(int) ([]byte, error) { return nil, errors.New("cannot be written") }}
	report := func(when string, n int64, ok bool) {
		os.WriteFile(fmt.Sprintf("%s-%d", when, p.Generation()), fmt.Append(nil, n, ok), 0o600)
	}
	n, ok := counter.AtStart(ctx, p)
	hits.Store(n)
	report("start", n, ok)
	go func() {
		n, ok := counter.AtStandby(ctx, p)
		report("standby", n, ok)
		n, ok = counter.AtEnd(ctx, p)
		report("end", n, ok)
	}()
	counter.Keep(p, hits.Load)
	broken.Keep(p, func() int { return 0 })
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hit", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, hits.Add(1)) })
	go p.Serve(&http.Server{Handler: mux}, ln)
	if behaviour == "late" {
		for _, err := os.Stat("go"); err != nil; _, err = os.Stat("go") {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	}
	if err := p.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(ctx)
}

// TestBlobsTravel: a successor learns what the predecessor had at the fork, what it had when it parked, and what it had at its end.
func TestBlobsTravel(t *testing.T) {
	t.Parallel()
	s := start(t, "counter")
	s.waitUp()
	if got := s.file("start-1") + s.file("standby-1") + s.file("end-1"); got != "0 false0 false0 false" {
		t.Errorf("generation 1 got %q", got)
	}
	hit := func(want string) {
		t.Helper()
		if got, err := get(s.addr, "/hit"); err != nil || got != want {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	}
	hit("1")
	hit("2")
	s.behave("late")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	if got := s.file("start-2"); got != "2 true" {
		t.Errorf("at the start: %q", got)
	}
	hit("3") // the predecessor still serves
	if err := os.WriteFile(s.dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.file("standby-2"); got != "3 true" {
		t.Errorf("at standby: %q", got)
	}
	if got := s.file("end-2"); got != "103 true" {
		t.Errorf("at the end: %q", got)
	}
	s.waitEnd(20 * time.Second)
	if !strings.Contains(s.log(), "cannot be written") {
		t.Error("no word of the blob that could not be written")
	}
}

// TestBlobsDeclined: what a version cannot read costs it the blob and nothing else, and the predecessor learns why.
func TestBlobsDeclined(t *testing.T) {
	for behaviour, why := range map[string]string{"newer": "version 2 is too old", "panics": "what is that?"} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			s := start(t, "counter")
			s.waitUp()
			s.behave(behaviour)
			s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
			if got := s.file("start-2") + s.file("standby-2"); got != "0 false0 false" {
				t.Errorf("generation 2 got %q", got)
			}
			s.waitLog("handed over")
			s.waitEnd(20 * time.Second)
			for line := range strings.Lines(s.log()) {
				if strings.Contains(line, "the successor declined a blob") && strings.Contains(line, why) {
					return
				}
			}
			t.Error("the predecessor was not told")
		})
	}
}
