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
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() { programs["pairs"] = pairsProgram }

// pairsProgram measures, in turns, a bare fork-exec of this executable until the child says that it serves, and a handover from the call
// to the moment when the successor accepts and this process has parked; each successor is then taken back. It writes a line for each pair.
func pairsProgram() {
	standby := make(chan time.Time, 1)
	p, err := grace.New(grace.Options{Probation: time.Hour, OnEvent: func(e grace.Event) {
		if e.Step == grace.StepStandby {
			standby <- time.Now()
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
	if p.Generation() > 1 {
		p.Wait(context.Background())
		return
	}
	bareLn, err := bareListen()
	if err != nil {
		fatal(err)
	}
	n, err := strconv.Atoi(os.Getenv("GRACE_TEST_PAIRS"))
	if err != nil {
		fatal(err)
	}
	var lines strings.Builder
	for range n {
		began := time.Now()
		cmd, err := bareSpawn(bareLn, "GRACE_TEST_PROGRAM=bare")
		if err != nil {
			fatal(err)
		}
		floor := time.Since(began)
		cmd.Process.Kill()
		cmd.Wait()

		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		began = time.Now()
		go func() { done <- p.Handover(ctx, p.InstallPath(), nil) }()
		select {
		case at := <-standby:
			fmt.Fprintln(&lines, int64(floor), int64(at.Sub(began)))
		case err := <-done:
			fatal(err)
		}
		cancel()
		<-done
	}
	os.WriteFile("unready", []byte(lines.String()), 0o600)
	os.Rename("unready", "pairs")
}

// latencies returns the two columns of pairsProgram, sorted.
func latencies(t testing.TB, pairs int) (floor, ours []time.Duration) {
	t.Helper()
	s := start(t, "pairs", "GRACE_TEST_PAIRS="+strconv.Itoa(pairs))
	for line := range strings.Lines(s.file("pairs")) {
		var a, b time.Duration
		if _, err := fmt.Sscan(line, &a, &b); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		floor, ours = append(floor, a), append(ours, b)
	}
	slices.Sort(floor)
	slices.Sort(ours)
	return floor, ours
}

// quantile of a sorted list.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// TestPromiseG5: from the trigger until the successor accepts, a handover takes at most three times as long as a bare fork-exec of the
// same executable until it is ready, in the median of pairs taken in turns.
func TestPromiseG5(t *testing.T) {
	floor, ours := latencies(t, max(promised(150), 15))
	f, o := quantile(floor, 0.5), quantile(ours, 0.5)
	ratio := float64(o) / float64(f)
	t.Logf("bare %s (p90 %s), handover %s (p90 %s): %.2f times", f, quantile(floor, 0.9), o, quantile(ours, 0.9), ratio)
	if ratio > 3 {
		t.Errorf("a handover takes %.2f times as long as a bare fork-exec", ratio)
	}
}
