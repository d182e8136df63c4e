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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() { programs["cron"] = cronProgram }

// cronProgram has something that only one process may do. Successors behave as the words of the file "behaviour" say, OnStandby and
// OnResume as those of the environment. What happens is written to the file "events".
func cronProgram() {
	var p *grace.Process
	note := func(what string) {
		f, err := os.OpenFile("events", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		fmt.Fprintf(f, "%s %d\n", what, os.Getpid())
	}
	wait := func(name string) {
		for _, err := os.Stat(name); err != nil; _, err = os.Stat(name) {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	}
	p, err := grace.New(grace.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		StartTimeout: 5 * time.Second, ReleaseTimeout: envDuration("GRACE_TEST_RELEASE", 5*time.Second),
		Probation: envDuration("GRACE_TEST_PROBATION", 100*time.Millisecond), UpdateProbation: envDuration("GRACE_TEST_PROBATION", 100*time.Millisecond),
		OnStandby: func(ctx context.Context) error {
			switch os.Getenv("GRACE_TEST_STANDBY") {
			case "fails":
				return errors.New("the queue does not answer")
			case "panics":
				panic("no queue")
			case "hangs":
				<-ctx.Done()
				time.Sleep(100 * time.Millisecond) // and more
			case "waits":
				wait("let-go")
			}
			note("standby")
			return nil
		},
		OnResume: func(context.Context) error {
			if os.Getenv("GRACE_TEST_RESUME") == "waits" {
				wait("resume")
			}
			note("resume")
			return nil
		}})
	if err != nil {
		log.Fatal(err)
	}
	behaves := func(string) bool { return false }
	if p.Generation() > 1 {
		b, _ := os.ReadFile("behaviour")
		behaves = func(how string) bool { return strings.Contains(string(b), how) }
	}
	if behaves("migrates early") {
		if err := p.NoWayBack(context.Background()); err != nil {
			log.Fatal(err)
		}
		note("migrated")
	}
	if behaves("exits") {
		os.Exit(3)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/migrate", func(http.ResponseWriter, *http.Request) {
		if err := p.NoWayBack(context.Background()); err != nil {
			log.Fatal(err)
		}
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		err := p.Handover(r.Context(), p.InstallPath(), func() error {
			if r.FormValue("commit") != "" {
				return errors.New(r.FormValue("commit"))
			}
			return nil
		})
		var he *grace.HandoverError
		if errors.As(err, &he) {
			fmt.Fprintf(w, "%s|%t|%v", he.Cause, he.NoWayBack, he)
			return
		}
		fmt.Fprint(w, err)
	})
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go p.Serve(&http.Server{Handler: mux}, ln)
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	go func() {
		<-p.Active()
		note("active")
	}()
	if err := p.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// events returns what happened, without the pids.
func (s *server) events() (list []string) {
	b, _ := os.ReadFile(filepath.Join(s.dir, "events"))
	for line := range strings.Lines(string(b)) {
		what, _, _ := strings.Cut(line, " ")
		list = append(list, what)
	}
	return list
}

func (s *server) waitEvents(want ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("events %q", want), func() bool { return strings.Join(s.events(), " ") == strings.Join(want, " ") })
}

func (s *server) touch(name string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestActiveAfterOnStandby: however long OnStandby takes, no successor is active before it has returned.
func TestActiveAfterOnStandby(t *testing.T) {
	t.Parallel()
	s := start(t, "cron", "GRACE_TEST_STANDBY=waits")
	s.waitUp()
	s.waitEvents("active")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("standing by")
	next := pidOf(t, s.addr) // on probation
	time.Sleep(time.Second)  // ten times the probation: nothing may happen meanwhile
	if e := s.events(); len(e) != 1 {
		t.Errorf("before OnStandby has returned: %q", e)
	}
	s.touch("let-go")
	s.waitEvents("active", "standby", "active")
	s.waitEnd(20 * time.Second)
	if pid := pidOf(t, s.addr); pid != next {
		t.Errorf("pid %d serves, not %d", pid, next)
	}
}

// TestOnResumeAfterRollback: the gate is open at once; OnResume has its time beside that.
func TestOnResumeAfterRollback(t *testing.T) {
	t.Parallel()
	s := start(t, "cron", "GRACE_TEST_RESUME=waits", "GRACE_TEST_PROBATION=60s")
	s.waitUp()
	old := s.cmd.Process.Pid
	for round := 1; round <= 2; round++ { // once let go, taken back and let go again
		s.signal(old, syscall.SIGHUP)
		eventually(t, "OnStandby", func() bool { return strings.Count(strings.Join(s.events(), " "), "standby") == round })
		s.signal(pidOf(t, s.addr), syscall.SIGKILL)
		if pid := pidOf(t, s.addr); pid != old {
			t.Errorf("pid %d answers, not the predecessor", pid)
		}
		if n := strings.Count(strings.Join(s.events(), " "), "resume"); n != round-1 {
			t.Errorf("OnResume has returned %d times", n)
		}
		s.touch("resume")
		eventually(t, "OnResume", func() bool { return strings.Count(strings.Join(s.events(), " "), "resume") == round })
		os.Remove(filepath.Join(s.dir, "resume"))
		eventually(t, "the end of the handover", func() bool { return strings.Count(s.log(), "handover undone") == round })
	}
}

// TestOnStandbyFails: a predecessor that cannot let go serves on, and the build is not to blame.
func TestOnStandbyFails(t *testing.T) {
	for how, why := range map[string]string{"fails": "the queue does not answer", "panics": "panic: no queue", "hangs": "no answer"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := start(t, "cron", "GRACE_TEST_STANDBY="+how, "GRACE_TEST_RELEASE=300ms")
			s.waitUp()
			verdict, err := get(s.addr, "/upgrade")
			if err != nil || !strings.HasPrefix(verdict, "not-released|") || !strings.Contains(verdict, why) {
				t.Errorf("%q, %v", verdict, err)
			}
			if pid := pidOf(t, s.addr); pid != s.cmd.Process.Pid {
				t.Errorf("pid %d serves, not the predecessor", pid)
			}
			eventually(t, "OnResume", func() bool { return strings.HasSuffix(strings.Join(s.events(), " "), "resume") })
		})
	}
	if e := (&grace.HandoverError{Cause: grace.CauseNotReleased}); e.Verdict() || e.Guilty() || e.Undone() {
		t.Error("the build is blamed for it")
	}
}

// TestOnResumeAfterResurrection: row 8d takes back what was let go, and lets go again for the next one.
func TestOnResumeAfterResurrection(t *testing.T) {
	t.Parallel()
	s := start(t, "cron")
	s.waitUp()
	slow := s.slowRequest("8") // keeps the predecessor draining
	defer slow.Close()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("handed over")
	s.waitEvents("active", "standby", "active")
	s.signal(pidOf(t, s.addr), syscall.SIGKILL)
	s.waitEvents("active", "standby", "active", "resume", "standby", "active")
}

// slowRequest asks for an answer after some seconds, on a connection that has been accepted, and does not wait for it.
func (s *server) slowRequest(seconds string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	fmt.Fprint(c, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	fmt.Fprintf(c, "GET /hello?sleep=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", seconds)
	return c
}
