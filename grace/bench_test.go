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
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() {
	programs["beside"] = besideProgram
	programs["allocations"] = allocationsProgram
	programs["moving"] = movingProgram
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
			var lost []float64 // share of the requests per second, in percent
			var perSecond []float64
			for b.Loop() {
				for i := range 31 {
					first, second := plain, ours
					if i%2 == 1 {
						first, second = ours, plain
					}
					const turn = 400 * time.Millisecond
					x, err := c.run(first, turn)
					if err != nil {
						b.Fatal(err)
					}
					y, err := c.run(second, turn)
					if err != nil {
						b.Fatal(err)
					}
					if i%2 == 1 {
						x, y = y, x
					}
					lost, perSecond = append(lost, 100*(x-y)/x), append(perSecond, x)
				}
			}
			slices.Sort(lost)
			slices.Sort(perSecond)
			n := len(lost)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(perSecond[n/2], "plain-req/s")
			b.ReportMetric(lost[n/2], "%lost-median")
			b.ReportMetric(lost[n/4], "%lost-q1")
			b.ReportMetric(lost[3*n/4], "%lost-q3")
		})
	}
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

// BenchmarkHandover is promise G5: a handover against a bare fork-exec of the same executable, in turns.
func BenchmarkHandover(b *testing.B) {
	var floor, ours []time.Duration
	for b.Loop() {
		f, o := latencies(b, 31)
		floor, ours = append(floor, f...), append(ours, o...)
	}
	slices.Sort(floor)
	slices.Sort(ours)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(quantile(floor, 0.5)), "bare-ms")
	b.ReportMetric(ms(quantile(ours, 0.5)), "handover-ms")
	b.ReportMetric(ms(quantile(ours, 0.9)), "handover-p90-ms")
	b.ReportMetric(float64(quantile(ours, 0.5))/float64(quantile(floor, 0.5)), "times")
}

// BenchmarkStall is promise G6: one run in each iteration.
func BenchmarkStall(b *testing.B) {
	for _, idle := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d idle connections", idle), func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				near, far := stallRun(b, idle, 0, 4)
				ratios = append(ratios, float64(quantile(near, 0.99))/float64(quantile(far, 0.99)))
			}
			slices.Sort(ratios)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ratios[len(ratios)/2], "near/far-p99")
		})
	}
}

// BenchmarkMemory reports the proportional set size of both generations during a handover with 50 idle connections, and the
// resident peak of the successor.
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		b.Skip("needs smaps_rollup: ", err)
	}
	var steady, peak, successor int
	for b.Loop() {
		s := start(b, "full", "GRACE_TEST_PROBATION=1s")
		s.waitUp()
		for range 50 {
			defer holdIdle(b, s.addr).Close()
		}
		old := pidOf(b, s.addr)
		steady = max(steady, kilobytes(old, "smaps_rollup", "Pss:"))
		s.signal(old, syscall.SIGHUP)
		eventually(b, "the successor alone", func() bool {
			pids := s.pids()
			sum := 0
			for _, pid := range pids {
				sum += kilobytes(pid, "smaps_rollup", "Pss:")
				if pid != old {
					successor = max(successor, kilobytes(pid, "status", "VmHWM:"))
				}
			}
			peak = max(peak, sum)
			return len(pids) == 1 && pids[0] != old
		})
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(steady)/1024, "steady-MB")
	b.ReportMetric(float64(peak)/1024, "peak-MB")
	b.ReportMetric(float64(successor)/1024, "successor-VmHWM-MB")
}

func kilobytes(pid int, file, field string) (kb int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	_, after, _ := strings.Cut(string(text), field)
	fmt.Sscan(after, &kb)
	return kb
}

// movingProgram measures how long its idle connections take to move to its successor.
func movingProgram() {
	standby := make(chan bool, 1)
	p, err := grace.New(grace.Options{Probation: 400 * time.Millisecond, OnEvent: func(e grace.Event) {
		if e.Step == grace.StepStandby {
			standby <- true
		}
	}})
	if err != nil {
		fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fatal(err)
	}
	go p.Serve(&http.Server{Handler: http.HandlerFunc(hello)}, ln)
	if err := p.Ready(context.Background()); err != nil {
		fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	if p.Generation() > 1 {
		p.Wait(context.Background())
		return
	}
	<-standby
	all := uint64(p.Connections())
	moved := func(least uint64) time.Time {
		for p.Counts().Moved < least {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
		return time.Now()
	}
	first := moved(1)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	last := moved(all)
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	os.WriteFile("unready", []byte(fmt.Sprintln(all, int64(last.Sub(first)), cpu)), 0o600)
	os.Rename("unready", "moved")
	p.Wait(context.Background())
}

// BenchmarkMove reports how long idle connections take to move, all of them and each, and what that costs the predecessor.
func BenchmarkMove(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var limit syscall.Rlimit
			syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
			if int(limit.Cur) < n+100 {
				b.Skipf("only %d descriptors are allowed", limit.Cur)
			}
			var took, cpu time.Duration
			count := 0
			for b.Loop() {
				s := start(b, "moving")
				s.waitUp()
				for range n {
					defer holdIdle(b, s.addr).Close()
				}
				s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
				var all int
				var x, y time.Duration
				fmt.Sscan(s.file("moved"), &all, &x, &y)
				took, cpu, count = took+x, cpu+y, count+1
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(took.Milliseconds())/float64(count), "ms-in-all")
			b.ReportMetric(float64(cpu.Microseconds())/float64(count*n), "predecessor-µs-each")
		})
	}
}
