//go:build unix

package grace_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/gracetest"
)

func init() { programs["ledger"] = ledgerProgram }

// ledger is a file that only one process can have open: who finds it locked says so and dies. Every request counts in it.
type ledger struct {
	mu sync.Mutex
	f  *os.File
	n  int64
}

func (l *ledger) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile("ledger", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		os.WriteFile("two-holders", fmt.Append(nil, os.Getpid()), 0o600)
		log.Fatalf("the ledger has another holder: %v", err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	l.f = f
	l.n, _ = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return nil
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.f.Close()
	l.f = nil
	return err
}

func (l *ledger) count() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, errors.New("the ledger is closed")
	}
	l.n++
	_, err := l.f.WriteAt(fmt.Appendf(nil, "%d\n", l.n), 0)
	return l.n, err
}

// ledgerProgram serves from a ledger. As a successor it waits where the file "behaviour" says so, until the file "go" is there.
func ledgerProgram() {
	l := &ledger{}
	p, err := grace.New(grace.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		StartTimeout: envDuration("GRACE_TEST_START", 20*time.Second), ReleaseTimeout: envDuration("GRACE_TEST_RELEASE", 10*time.Second),
		Probation: envDuration("GRACE_TEST_PROBATION", 100*time.Millisecond), UpdateProbation: envDuration("GRACE_TEST_PROBATION", 100*time.Millisecond),
		DrainTimeout: 10 * time.Second,
		Exclusive:    true,
		OnStandby:    func(context.Context) error { return l.close() },
		OnResume: func(context.Context) error {
			if os.Getenv("GRACE_TEST_RESUME") == "fails" {
				return errors.New("the disk is gone")
			}
			return l.open()
		},
		OnEvent: func(e grace.Event) { os.WriteFile("event-"+string(e.Step), fmt.Append(nil, e.PID), 0o600) }})
	if err != nil {
		log.Fatal(err)
	}
	behaviour := ""
	if p.Generation() > 1 {
		b, _ := os.ReadFile("behaviour")
		behaviour = string(b)
	}
	if behaviour == "late" {
		os.WriteFile("freed", fmt.Append(nil, os.Getpid()), 0o600)
		for _, err := os.Stat("go"); err != nil; _, err = os.Stat("go") {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	}
	if err := l.open(); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		if _, err := l.count(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		hello(w, r)
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, err := l.count()
		fmt.Fprint(w, n, err)
	})
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := p.Serve(&http.Server{Handler: mux}, ln); err != nil {
			log.Print(err)
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	if err := p.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// oneHolder fails if two processes ever had the ledger.
func (s *server) oneHolder() {
	s.t.Helper()
	if b, err := os.ReadFile(filepath.Join(s.dir, "two-holders")); err == nil {
		s.t.Errorf("pid %s found another holder", b)
	}
}

// TestExclusiveUnderLoad: over upgrades of a service whose file only one process can have, no request fails that comes on a plain
// HTTP/1 connection, kept or new.
func TestExclusiveUnderLoad(t *testing.T) {
	s := start(t, "ledger")
	s.waitUp()
	load := gracetest.Start(gracetest.Options{Addr: s.addr, Path: "/hello", SlowPath: "/hello?sleep=0.2",
		KeepAlive: 8, Idle: 20, New: 4, Slow: 2, Bytewise: 2, Pipelined: 2})
	for range max(3, promised(10)) {
		old := s.pids()[0]
		s.signal(old, syscall.SIGHUP)
		eventually(t, "the next generation", func() bool { return len(s.pids()) == 2 })
		eventually(t, "the predecessor's end", func() bool { return len(s.pids()) == 1 })
		if s.pids()[0] == old {
			t.Fatal("the handover was undone")
		}
	}
	report := load.Stop()
	requests, failures := report.Total()
	t.Logf("%d of %d requests failed; per kind %v", failures, requests, report.Requests)
	if failures > 0 || requests < 100 {
		t.Errorf("%d of %d requests failed: %v", failures, requests, report.Failures)
	}
	s.oneHolder()
}

// TestExclusiveKilled: whoever dies at whatever step, one process serves with the ledger, and never two have it.
func TestExclusiveKilled(t *testing.T) {
	for _, c := range []struct {
		name      string
		behaviour string
		slow      string // a request under way that delays the release
		until     string // a file that says when to kill
		successor bool   // whom
	}{
		{"successor before it is released", "", "1.5", "event-releasing", true},
		{"successor after it was released", "late", "", "freed", true},
		{"successor on probation", "", "", "event-standby", true},
		{"predecessor before it has released", "", "1.5", "event-releasing", false},
		{"predecessor after it has released", "late", "", "freed", false},
		{"predecessor on standby", "", "", "event-standby", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "ledger", "GRACE_TEST_PROBATION=2s")
			s.waitUp()
			old := s.cmd.Process.Pid
			s.behave(c.behaviour)
			if c.slow != "" {
				defer s.slowRequest(c.slow).Close()
			}
			s.signal(old, syscall.SIGHUP)
			s.file(c.until)
			next := 0
			for _, pid := range s.pids() {
				if pid != old {
					next = pid
				}
			}
			answer := make(chan error, 1)
			go func() { // comes in between, and waits
				_, err := get(s.addr, "/hello")
				answer <- err
			}()
			victim, heir := old, next
			if c.successor {
				victim, heir = next, old
			}
			s.signal(victim, syscall.SIGKILL)
			s.touch("go")
			if err := <-answer; err != nil && !c.successor {
				t.Logf("what the dead one had accepted: %v", err)
			} else if err != nil && c.until != "event-standby" {
				t.Errorf("a request in between: %v", err)
			}
			if pid := pidOf(t, s.addr); pid != heir {
				t.Errorf("pid %d serves, not %d", pid, heir)
			}
			s.oneHolder()
			s.behave("") // and the next one is well
			s.signal(heir, syscall.SIGHUP)
			eventually(t, "a good handover", func() bool { return len(s.pids()) == 1 && s.pids()[0] != heir })
			s.oneHolder()
		})
	}
}

// TestExclusiveRequestThatDoesNotEnd: rather than cut it, the handover is undone.
func TestExclusiveRequestThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := start(t, "ledger", "GRACE_TEST_RELEASE=300ms")
	s.waitUp()
	slow := s.slowRequest("3")
	defer slow.Close()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("requests under way did not end within 300ms")
	if pid := pidOf(t, s.addr); pid != s.cmd.Process.Pid {
		t.Errorf("pid %d serves", pid)
	}
	slow.SetReadDeadline(time.Now().Add(20 * time.Second))
	if res, err := http.ReadResponse(bufio.NewReader(slow), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("the request that took long: %v, %v", res, err)
	}
	s.oneHolder()
}

// TestExclusiveHeldRequests: a request that comes to the predecessor after all, here because its header comes slowly, waits: until a
// rollback, which answers it, or the commit.
func TestExclusiveHeldRequests(t *testing.T) {
	for _, c := range []struct {
		name     string
		rollback bool
		status   int
	}{{"rollback", true, 200}, {"commit", false, 503}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "ledger", "GRACE_TEST_RELEASE=2s", "GRACE_TEST_PROBATION=2s")
			s.waitUp()
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			br := bufio.NewReader(conn)
			io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: loc") // half of the next one
			if _, err := get(s.addr, "/hello"); err != nil {         // so the half was read
				t.Fatal(err)
			}
			s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
			s.file("event-standby")
			io.WriteString(conn, "alhost\r\n\r\n")
			if c.rollback {
				s.signal(pidOf(t, s.addr), syscall.SIGKILL)
			}
			res, err = http.ReadResponse(br, nil)
			if err != nil || res.StatusCode != c.status {
				t.Fatalf("%v, %v; want %d", res, err, c.status)
			}
			if c.status == 503 && (res.Header.Get("Retry-After") != "1" || !res.Close) {
				t.Errorf("header %v, close %t", res.Header, res.Close)
			}
			s.oneHolder()
		})
	}
}

// TestExclusiveCannotResume: a predecessor that cannot take its file back ends with an error, so that a supervisor knows.
func TestExclusiveCannotResume(t *testing.T) {
	t.Parallel()
	s := start(t, "ledger", "GRACE_TEST_RESUME=fails", "GRACE_TEST_START=1s", "GRACE_TEST_PROBATION=1h")
	s.waitUp()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.file("event-standby")
	s.signal(pidOf(t, s.addr), syscall.SIGKILL)
	select {
	case <-s.done:
	case <-time.After(60 * time.Second):
		t.Fatal("it still runs")
	}
	if s.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(s.log(), "the disk is gone") {
		t.Errorf("%s", s.cmd.ProcessState)
	}
	s.oneHolder()
}

// TestExclusiveResurrection: when the successor dies after COMMIT, the file is free before the predecessor takes it back.
func TestExclusiveResurrection(t *testing.T) {
	t.Parallel()
	s := start(t, "ledger")
	s.waitUp()
	silent := make([]net.Conn, 3) // half a request on each keeps the predecessor draining
	for i := range silent {
		var err error
		if silent[i], err = net.Dial("tcp", s.addr); err != nil {
			t.Fatal(err)
		}
		defer silent[i].Close()
		io.WriteString(silent[i], "GET /hello HTTP/1.1\r\n")
	}
	if _, err := get(s.addr, "/hello"); err != nil {
		t.Fatal(err)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("handed over")
	next := pidOf(t, s.addr)
	s.signal(next, syscall.SIGKILL)
	s.waitLog("serving again")
	eventually(t, "generation 3", func() bool { return strings.Count(s.log(), "handed over") == 2 })
	if pid := pidOf(t, s.addr); pid == next || pid == s.cmd.Process.Pid {
		t.Errorf("pid %d serves", pid)
	}
	s.oneHolder()
}
