package server

import (
	"crypto/tls"
	"log/slog"
	"testing"
	"time"
)

// StartFake runs s over a process without others, until the test ends, and returns its addresses.
func StartFake(t *testing.T, s Service) []string {
	t.Helper()
	b := newBench(t, s)
	b.start()
	return b.r.addresses()
}

// Quieter is what net/http logs through.
func Quieter(h slog.Handler) slog.Handler { return quieter{h} }

// Bench is a service over a process without others.
type Bench struct{ b *bench }

// NewBench starts it. It drains until drained is closed.
func NewBench(t *testing.T, s Service, drained chan struct{}) Bench {
	t.Helper()
	b := newBench(t, s)
	b.p.linger = drained
	b.start()
	return Bench{b}
}

// Addr is that of its first listener.
func (b Bench) Addr() string { return b.b.r.addresses()[0] }

// End ends the context that Run was given.
func (b Bench) End() { b.b.end() }

// RunFake runs s over a process without others, to its end.
func RunFake(t *testing.T, s Service) error {
	t.Helper()
	return newBench(t, s).r.run(t.Context())
}

// Files are those of one TLS.
type Files struct{ c *certificates }

// OpenTLS reads them for the first time.
func OpenTLS(t *testing.T, of TLS, log *slog.Logger) Files {
	t.Helper()
	c, err := openTLS(of, true, log)
	if err != nil {
		t.Fatal(err)
	}
	return Files{c}
}

// At is what a handshake at that time gets.
func (f Files) At(now time.Time) *tls.Config {
	f.c.refresh(now)
	return f.c.current.Load()
}
