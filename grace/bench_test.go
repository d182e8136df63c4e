//go:build unix

package grace_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() { programs["moving"] = movingProgram }

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
				x, y := moveOnce(b, n)
				took, cpu, count = took+x, cpu+y, count+1
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(took.Milliseconds())/float64(count), "ms-in-all")
			b.ReportMetric(float64(cpu.Microseconds())/float64(count*n), "predecessor-µs-each")
		})
	}
}

func moveOnce(b *testing.B, n int) (took, cpu time.Duration) {
	b.Helper()
	s := start(b, "moving")
	s.waitUp()
	for range n {
		defer holdIdle(b, s.addr).Close()
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	var all int
	if _, err := fmt.Sscan(s.file("moved"), &all, &took, &cpu); err != nil || all < n {
		b.Fatalf("%d of %d connections: %v", all, n, err)
	}
	return took, cpu
}
