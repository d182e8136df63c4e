//go:build unix

package grace_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() {
	programs["beside"] = besideProgram
	programs["allocations"] = allocationsProgram
}

// besideHello is the handler of both servers: as little as possible, so that what is around it shows.
func besideHello(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello, world\n") }

// beside serves the same handler by net/http alone and by a Process, and returns the addresses.
func beside() (plain, ours string) {
	p, err := grace.New(grace.Options{})
	if err != nil {
		fatal(err)
	}
	plainLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fatal(err)
	}
	go http.Serve(plainLn, http.HandlerFunc(besideHello))
	go p.Serve(&http.Server{Handler: http.HandlerFunc(besideHello)}, ln)
	if err := p.Ready(context.Background()); err != nil {
		fatal(err)
	}
	return plainLn.Addr().String(), ln.Addr().String()
}

func besideProgram() {
	plain, ours := beside()
	os.WriteFile("unready", []byte(plain+" "+ours), 0o600)
	os.Rename("unready", "addrs")
	select {}
}

const besideRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// A fast client knows the length of its answer: it must cost less than what it measures.
type fastClient struct {
	conn   net.Conn
	answer []byte
}

func dialFast(addr string) (*fastClient, error) {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return nil, err
	}
	io.WriteString(conn, besideRequest)
	answer := make([]byte, 4096)
	n := 0
	for !bytes.HasSuffix(answer[:n], []byte("hello, world\n")) && err == nil {
		var more int
		more, err = conn.Read(answer[n:])
		n += more
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &fastClient{conn, answer[:n]}, nil
}

var besideBytes = []byte(besideRequest)

func (c *fastClient) ask() error {
	if _, err := c.conn.Write(besideBytes); err != nil {
		return err
	}
	_, err := io.ReadFull(c.conn, c.answer)
	return err
}

// BenchmarkServe compares the requests per second of a Process with those of net/http alone, in turns, for kept-alive connections and for
// new ones. A benchmark of one iteration takes 31 pairs.
func BenchmarkServe(b *testing.B) {
	for _, c := range []struct {
		name string
		run  func(addr string, d time.Duration) (float64, error)
	}{{"keep-alive", keepAliveRate}, {"new connections", newRate}} {
		b.Run(c.name, func(b *testing.B) {
			s := start(b, "beside")
			plain, ours, _ := strings.Cut(s.file("addrs"), " ")
			var lost, more []float64 // in percent: requests per second, and processor time of the server for each
			var perSecond []float64
			for b.Loop() {
				for i := range 31 {
					first, second := plain, ours
					if i%2 == 1 {
						first, second = ours, plain
					}
					const turn = 400 * time.Millisecond
					began := onProcessor(s.cmd.Process.Pid)
					x, err := c.run(first, turn)
					if err != nil {
						b.Fatal(err)
					}
					between := onProcessor(s.cmd.Process.Pid)
					y, err := c.run(second, turn)
					if err != nil {
						b.Fatal(err)
					}
					costX, costY := float64(between-began)/x, float64(onProcessor(s.cmd.Process.Pid)-between)/y
					if i%2 == 1 {
						x, y, costX, costY = y, x, costY, costX
					}
					lost, more = append(lost, 100*(x-y)/x), append(more, 100*(costY-costX)/costX)
					perSecond = append(perSecond, x)
				}
			}
			slices.Sort(lost)
			slices.Sort(more)
			slices.Sort(perSecond)
			n := len(lost)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(perSecond[n/2], "plain-req/s")
			b.ReportMetric(lost[n/2], "%lost-median")
			b.ReportMetric(lost[n/4], "%lost-q1")
			b.ReportMetric(lost[3*n/4], "%lost-q3")
			b.ReportMetric(more[n/2], "%more-cpu-median")
		})
	}
}

// onProcessor returns the time that the threads of a process have run; 0 where the kernel does not tell.
func onProcessor(pid int) (sum time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, name := range threads {
		var d time.Duration
		text, _ := os.ReadFile(name)
		fmt.Sscan(string(text), &d)
		sum += d
	}
	return sum
}

// keepAliveRate asks on eight connections for as long as d.
func keepAliveRate(addr string, d time.Duration) (float64, error) {
	var clients []*fastClient
	for range 8 {
		c, err := dialFast(addr)
		if err != nil {
			return 0, err
		}
		defer c.conn.Close()
		clients = append(clients, c)
	}
	return rate(len(clients), d, func(i int) error { return clients[i].ask() })
}

// newRate opens a connection for each request.
func newRate(addr string, d time.Duration) (float64, error) {
	return rate(8, d, func(int) error {
		_, err := oneShot(addr)
		return err
	})
}

func rate(clients int, d time.Duration, ask func(i int) error) (float64, error) {
	var wg sync.WaitGroup
	counts, errs := make([]int, clients), make([]error, clients)
	began := time.Now()
	for i := range clients {
		wg.Go(func() {
			for n := 0; errs[i] == nil && time.Since(began) < d; n++ {
				errs[i] = ask(i)
				counts[i] = n + 1
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	sum := 0
	for i := range clients {
		if errs[i] != nil {
			return 0, errs[i]
		}
		sum += counts[i]
	}
	return float64(sum) / took.Seconds(), nil
}

// allocationsProgram counts the allocations of this process over many requests on one connection, of net/http alone and of a Process. The
// client, in the same process, makes none.
func allocationsProgram() {
	plain, ours := beside()
	debug.SetGCPercent(-1) // a collection empties pools
	const n = 5000
	count := func(addr string) float64 {
		c, err := dialFast(addr)
		if err != nil {
			fatal(err)
		}
		defer c.conn.Close()
		for range 100 {
			c.ask()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			if err := c.ask(); err != nil {
				fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / n
	}
	a, b := count(plain), count(ours)
	os.WriteFile("unready", []byte(fmt.Sprintf("%.3f %.3f", a, b)), 0o600)
	os.Rename("unready", "allocations")
}

// TestServeAllocatesNothing: a request on a kept-alive connection allocates as often under a Process as under net/http alone.
func TestServeAllocatesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "allocations")
	var plain, ours float64
	if _, err := fmt.Sscan(s.file("allocations"), &plain, &ours); err != nil {
		t.Fatal(err)
	}
	t.Logf("allocations for each request: net/http %.3f, ours %.3f", plain, ours)
	if more := ours - plain; more > 0.1 || plain < 1 { // a timer or the runtime may allocate now and then
		t.Errorf("allocations for each request: net/http %.3f, ours %.3f", plain, ours)
	}
}
