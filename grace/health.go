package grace

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A check is one opinion on whether a process on probation is well. It returns within its context.
type check func(ctx context.Context) error

// errIll marks an answer that says "not well", in contrast to none at all.
var errIll = errors.New("not well")

// examine runs all checks at once, then once in every health interval, and sends each round's result. A round
// may take a whole interval. It ends with ctx.
func (p *Process) examine(ctx context.Context, checks []check) <-chan error {
	rounds := make(chan error)
	interval := p.o.HealthInterval
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			err := round(ctx, interval, checks)
			select {
			case rounds <- err:
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return rounds
}

func round(ctx context.Context, limit time.Duration, checks []check) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, ch := range checks {
		wg.Go(func() { errs[i] = ch(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// health judges by rounds. Two bad ones in a row are a verdict: a process that stops answering is found out within
// three intervals (the rest of one, and two that time out).
type health struct {
	bad    int
	passed bool
	over   bool // probation has lasted long enough
}

const badRounds = 2

func (h *health) judge(err error) (Cause, error) {
	if err == nil {
		h.bad, h.passed = 0, true
		return "", nil
	}
	if h.bad++; h.bad < badRounds {
		return "", nil
	}
	if errors.Is(err, errIll) {
		return CauseIll, err
	}
	return CauseHung, err
}

// proven reports whether probation is over, and its last round was good.
func (h *health) proven() bool { return h.over && h.passed && h.bad == 0 }

// linkCheck asks over the link; the owner of the state forwards the answers to votes.
func linkCheck(c *child, votes <-chan message) check {
	return func(ctx context.Context) error {
		select {
		case <-votes: // a late answer to an earlier question
		default:
		}
		if err := c.link.send(newMessage(msgHealth)); err != nil {
			return err
		}
		select {
		case m := <-votes:
			if s := m.get("err"); s != "" {
				return fmt.Errorf("its own vote: %s: %w", s, errIll)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("its own vote: no answer: %w", context.Cause(ctx))
		}
	}
}

// witness is what others say of the successor.
func (p *Process) witness(ctx context.Context) error {
	if err := p.o.Witness(ctx); err != nil {
		return fmt.Errorf("what others say: %w: %w", err, errIll)
	}
	return nil
}

// webChecks are requests through the real sockets, which only the successor c accepts on now.
func (p *Process) webChecks(c *child) []check {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []check
	for _, g := range p.gates {
		if w := g.web.Load(); w != nil && !g.socket.Held && !g.isClosed() && (c == nil || c.claimed[g.offered]) {
			if addr, ok := g.dialed(); ok {
				list = append(list, func(ctx context.Context) error { return w.ask(ctx, addr) })
			}
		}
	}
	return list
}

// webService says how to ask an HTTP server that listens on one of our sockets.
type webService struct {
	path   string // "" asks net/http itself
	secure bool   // over TLS
}

// ask makes one request on a connection of its own. Any status below 500 shows that the accept loop, the
// connection's goroutine and the handler live.
func (w *webService) ask(ctx context.Context, addr net.Addr) error {
	network, address := reachable(addr)
	var d net.Dialer
	socket, err := d.DialContext(ctx, network, address)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return nil // we are short of descriptors: that says nothing about the successor, whose own vote remains
	}
	if err != nil {
		return fmt.Errorf("request through %s: %w", address, err)
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(past) })
	defer stop()
	conn := socket
	if w.secure {
		// This is our own socket, and the question is who answers, not who that is: no certificate is verified.
		conn = tls.Client(socket, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}

	line := "OPTIONS *"
	if w.path != "" {
		line = "GET " + w.path
	}
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: moult-probation\r\nConnection: close\r\n\r\n", line)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "remote error" {
		return nil // a TLS alert, such as the demand for a client's certificate: somebody lives there
	}
	if err != nil {
		return fmt.Errorf("request through %s: no answer: %w", address, err)
	}
	res.Body.Close()
	if res.StatusCode >= 500 {
		return fmt.Errorf("request through %s: %s: %w", address, res.Status, errIll)
	}
	return nil
}

// reachable turns the address of a listener into one to dial: a wildcard is reached on the loopback.
func reachable(addr net.Addr) (network, address string) {
	t, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.Network(), addr.String()
	}
	if t.IP.IsUnspecified() {
		host := "127.0.0.1"
		if t.IP.To4() == nil {
			host = "::1"
		}
		return "tcp", (net.JoinHostPort(host, fmt.Sprint(t.Port)))
	}
	return "tcp", t.String()
}
