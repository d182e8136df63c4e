//go:build unix

package grace_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() { programs["leaver"] = leaverProgram }

// leaverProgram echoes, and closes its listener when the drain begins, as servers of other protocols do to drain.
func leaverProgram() {
	p, err := grace.New(grace.Options{
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Probation: 300 * time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		<-p.Draining()
		ln.Close()
		slog.Info("closed the listener", "pid", os.Getpid())
	}()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(context.Background())
}

// TestListenerClosedToDrain: when the successor dies while a predecessor drains that has closed its listener, nobody is refused: the next
// generation gets the socket, with the clients that wait in its queue.
func TestListenerClosedToDrain(t *testing.T) {
	t.Parallel()
	s := start(t, "leaver")
	eventually(t, "an address", func() bool {
		b, _ := os.ReadFile(s.dir + "/addr")
		s.addr = string(b)
		return len(b) > 0
	})
	echo := func(c net.Conn) error {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintln(c, "x"); err != nil {
			return err
		}
		_, err := bufio.NewReader(c).ReadString('\n')
		return err
	}
	old, err := net.Dial("tcp", s.addr) // keeps the predecessor draining
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := echo(old); err != nil {
		t.Fatal(err)
	}
	first := s.cmd.Process.Pid
	s.signal(first, syscall.SIGHUP)
	s.waitLog(fmt.Sprintf("closed the listener pid=%d", first))
	var second int
	eventually(t, "the successor alone beside it", func() bool {
		for _, pid := range s.pids() {
			if pid != first {
				second = pid
			}
		}
		return second != 0
	})
	s.signal(second, syscall.SIGKILL)
	s.waitLog("serving again")
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for range 20 {
		wg.Go(func() { // none of them connects before the successor is dead
			c, err := net.Dial("tcp", s.addr)
			if err == nil {
				err = echo(c)
				c.Close()
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if err := echo(old); err != nil {
		t.Errorf("the connection of the first generation: %v", err)
	}
	old.Close()
	eventually(t, "one generation", func() bool { return len(s.pids()) == 1 })
}
