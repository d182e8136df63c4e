//go:build amd64

package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A looker opens the executable again and again, and reads it whenever it is another file than before.
type looker struct {
	path  string
	whole map[string][]byte // by version

	mu     sync.Mutex
	seen   map[[4]int64]string
	looks  int64
	misses int
	miss   string // the first
	stop   chan struct{}
	ended  chan struct{}
}

// wholeOnes are the contents of a kit, read once.
var wholeOnes sync.Map

func newLooker(path string, k kit) *looker {
	l := &looker{path: path, whole: map[string][]byte{}, seen: map[[4]int64]string{}, stop: make(chan struct{}), ended: make(chan struct{})}
	for _, v := range kitVersions {
		b, ok := wholeOnes.Load(k.dir + v)
		if !ok {
			b, _ = os.ReadFile(filepath.Join(k.dir, "app-"+v))
			wholeOnes.Store(k.dir+v, b)
		}
		l.whole[v] = b.([]byte)
	}
	return l
}

// run looks until end.
func (l *looker) run() {
	defer close(l.ended)
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Millisecond):
			l.look()
		}
	}
}

func (l *looker) end() {
	close(l.stop)
	<-l.ended
}

func (l *looker) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// verdict is an error if there was a moment without a whole executable.
func (l *looker) verdict() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.misses == 0 {
		return nil
	}
	return fmt.Errorf("%w in %d of %d looks: %s", errMissed, l.misses, l.looks, l.miss)
}

var errMissed = errors.New("no whole executable")

// look returns the version that stands there now, and counts a miss if none does.
func (l *looker) look() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	version, err := l.read()
	if err == nil && version == "" {
		err = errors.New("not whole")
	}
	if err != nil {
		if l.misses++; l.misses == 1 {
			l.miss = err.Error()
		}
	}
	return version
}

func (l *looker) read() (string, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	if fi.Mode()&0o100 == 0 {
		return "", errors.New("not executable")
	}
	st := fi.Sys().(*syscall.Stat_t)
	id := [4]int64{int64(st.Dev), int64(st.Ino), st.Size, fi.ModTime().UnixNano()}
	version, known := l.seen[id]
	if known {
		return version, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	for v, want := range l.whole {
		if bytes.Equal(b, want) {
			version = v
		}
	}
	l.seen[id] = version
	return version, err
}

// An asker sends one request after the other, each on a connection of its own, and never retries. One more connection it keeps, idle: a
// handover moves that one.
type asker struct {
	s       *site
	idle    net.Conn
	slow    net.Conn // with a request that lasts; nil: none
	asked   int64
	refused int64
	lost    int64
	why     string // of the first that failed
	stop    chan struct{}
	ended   chan struct{}
}

// ask is called when the site serves. With slow there is one request more, which keeps whoever has it from leaving before its drain deadline.
func (s *site) ask(slow bool) error {
	a := &asker{s: s, stop: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if a.idle, err = net.Dial("tcp", s.addr); err != nil {
		return err
	}
	fmt.Fprintf(a.idle, "GET /debug/sleep?ms=0 HTTP/1.1\r\nHost: app\r\n\r\n")
	if _, err := a.idle.Read(make([]byte, 4096)); err != nil {
		return err
	}
	if slow {
		if a.slow, err = net.Dial("tcp", s.addr); err != nil {
			return err
		}
		fmt.Fprintf(a.slow, "GET /debug/sleep?ms=30000 HTTP/1.1\r\nHost: app\r\n\r\n")
	}
	s.asker = a
	go a.run()
	return nil
}

func (a *asker) run() {
	defer close(a.ended)
	for {
		select {
		case <-a.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		a.asked++
		_, err := a.s.version()
		switch {
		case err == nil:
			continue
		case errors.Is(err, syscall.ECONNREFUSED):
			a.refused++
		default:
			a.lost++
		}
		if a.why == "" {
			a.why = err.Error()
		}
	}
}

// quiet ends the asking and tells whether more requests failed than may. None may be refused.
func (s *site) quiet(mayLose int64) error {
	a := s.asker
	if a == nil {
		return nil
	}
	s.asker = nil
	close(a.stop)
	<-a.ended
	a.idle.Close()
	if a.slow != nil {
		a.slow.Close()
	}
	s.asked += a.asked
	if a.refused > 0 || a.lost > mayLose {
		return fmt.Errorf("of %d requests %d were refused and %d lost, %d may be: %s", a.asked, a.refused, a.lost, mayLose, a.why)
	}
	return nil
}
