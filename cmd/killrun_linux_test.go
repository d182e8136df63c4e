//go:build amd64

package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// force has what all runs need.
type force struct {
	dir    string
	kit    kit
	number atomic.Int32
	scenes map[string]*site // what a plot starts from

	looks, asked atomic.Int64
}

func newForce(t *testing.T) *force {
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	f := &force{dir: t.TempDir(), scenes: map[string]*site{}}
	home := filepath.Join(f.dir, "kit")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if f.kit, err = newKit(home, bin); err != nil {
		t.Fatal(err)
	}
	return f
}

// A run is one site that goes through one plot.
type run struct {
	*site
	plot
	tracer tracer
	kill   func(sight) bool // says who dies
	killed chan struct{}    // closed when somebody has
	victim sight
	over   <-chan struct{} // closed when nothing of it is left
}

func (f *force) newRun(p plot, kill func(sight) bool) (*run, error) {
	dir := filepath.Join(f.dir, fmt.Sprint(f.number.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := f.kit.site(dir, f.scenes[p.name])
	if err != nil {
		return nil, err
	}
	go s.looker.run()
	r := &run{site: s, plot: p, kill: kill, killed: make(chan struct{})}
	r.tracer.dir, r.tracer.at = s.dir, r.at
	return r, nil
}

// watch looks for the moments alone.
func (r *run) watch(moments ...moment) {
	if r.heir != "" {
		moments = append(moments, onProbation)
	}
	for _, m := range moments {
		r.tracer.calls = append(r.tracer.calls, m.call)
	}
}

// at is called at every moment.
func (r *run) at(x sight) bool {
	r.looker.look()
	if r.heir != "" {
		switch {
		case x.moment == onProbation:
			return true
		case x.role == "successor":
			x.role = r.heir
		}
	}
	if !r.kill(x) {
		return false
	}
	r.victim = x
	r.tracer.off.Store(true) // what is left runs free
	close(r.killed)
	return true
}

func (r *run) hasKilled() bool {
	select {
	case <-r.killed:
		return true
	default:
		return false
	}
}

// through goes through the plot, to its end or until somebody was killed.
func (r *run) through(ctx context.Context) (err error) {
	args := r.args
	if args == nil {
		args = r.serveArgs()
	}
	program := r.program
	if program == "" {
		program = filepath.Join(r.dir, "opt", "app")
	}
	if r.over, err = r.trace(&r.tracer, r.role, program, args); err != nil {
		return err
	}
	if r.args != nil {
		select {
		case <-r.over:
		case <-r.killed:
		}
		return nil
	}
	generation := 1
	if r.then != "" {
		if err := r.await(r.updating(1)); err != nil || r.hasKilled() {
			return err
		}
		if err := r.ask(r.slow); err != nil {
			return err
		}
		r.tracer.role.Store(&r.then)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answer := make(chan error, 1)
		go func() { answer <- r.upgrade(ctx) }() // ends with ctx
		select {
		case err := <-answer:
			if err != nil && r.heir == "" && !r.hasKilled() {
				return err
			}
		case <-r.killed:
			return nil
		}
		generation = 2
	}
	return r.await(func() error {
		if err := r.updating(generation)(); err != nil {
			return err
		}
		return r.settled()
	})
}

// updating says whether this generation has the update lock, and is done with its first look at the disk.
func (r *run) updating(generation int) func() error {
	return func() error {
		if line := fmt.Sprintf("msg=updating generation=%d", generation); !strings.Contains(r.logged(), line) {
			return fmt.Errorf("no line %q in the log", line)
		}
		return nil
	}
}

// await waits until this is no error any more, or somebody was killed.
func (r *run) await(cond func() error) (err error) {
	if r.wait(func() bool { err = cond(); return err == nil || r.hasKilled() }) {
		return nil
	}
	return err
}

// close ends whatever is left.
func (r *run) close() {
	r.quiet(0)
	until(func() bool {
		for _, pid := range r.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(r.pids()) == 0
	})
	if r.over != nil {
		<-r.over
	}
	r.looker.end()
}

// list goes through a plot in which nobody dies but those it begins with, and returns what there is to see.
func (f *force) list(ctx context.Context, p plot) (seen []sight, err error) {
	r, err := f.newRun(p, func(x sight) bool {
		seen = append(seen, x)
		return false
	})
	if err != nil {
		return nil, err
	}
	if err = r.through(ctx); err != nil {
		err = fmt.Errorf("%w; log:\n%s", err, r.logged())
	}
	r.close() // what was seen is ours from here on
	return seen, errors.Join(err, r.looker.verdict(), os.RemoveAll(r.dir))
}

// set makes the scene that a plot begins with.
func (f *force) set(ctx context.Context, p plot) error {
	var r *run
	r, err := f.newRun(plots()[0], func(x sight) bool {
		if x.moment != *p.scene {
			return false
		}
		for _, pid := range r.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return true
	})
	if err != nil {
		return err
	}
	r.watch(*p.scene)
	err = r.through(ctx)
	r.close()
	f.scenes[p.name] = r.site
	if !r.hasKilled() {
		return fmt.Errorf("%v: %w (%v)", p.scene, errNotMet, err)
	}
	return nil
}

// try kills at one moment of a plot and returns what is wrong then.
func (f *force) try(ctx context.Context, p plot, at moment) error {
	r, err := f.newRun(p, func(x sight) bool { return x.moment == at })
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	defer r.close()
	r.watch(at)
	if err = r.through(ctx); !r.hasKilled() {
		return fmt.Errorf("%w (%v)", errNotMet, err)
	}
	if err == nil {
		err = r.aftermath(ctx, f.kit)
	}
	f.looks.Add(r.looker.count())
	f.asked.Add(r.asked)
	if err != nil {
		return fmt.Errorf("%w; log:\n%s", err, r.logged())
	}
	return nil
}

type attempt struct {
	plot
	at moment
}

// tryAll makes several attempts at once, as they sleep most of the time. A moment that did not come gets two more.
func (f *force) tryAll(ctx context.Context, tries []attempt) []error {
	const atOnce = 6
	results := make([]error, len(tries))
	next := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() { // ends with next
			for i := range next {
				results[i] = errNotMet
				for n := 0; n < 3 && errors.Is(results[i], errNotMet); n++ {
					results[i] = f.try(ctx, tries[i].plot, tries[i].at)
				}
			}
		})
	}
	for i := range tries {
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// aftermath is what the promise says.
func (r *run) aftermath(ctx context.Context, k kit) error {
	if !r.wait(func() bool { return !lives(r.victim.pid) }) { // until then it counts among the servers, and refuses already
		return errors.New("it does not die")
	}
	none := func() bool { return len(r.servers()) == 0 }
	if !r.wait(func() bool { return none() || r.settled() == nil }) {
		return fmt.Errorf("after the kill it does not come to rest: %w", r.settled())
	}
	if none() {
		if err := r.coldStart(); err != nil {
			return err
		}
	} else if err := r.quiet(r.mayLose()); err != nil { // somebody has accepted all the time
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	if err := errors.Join(r.ask(false), k.offer(r.site, "3.0.0"), r.upgradeWhenRested(ctx), r.settle(), r.quiet(0)); err != nil {
		return fmt.Errorf("the next update: %w", err)
	}
	if version := r.looker.look(); version != "3.0.0" {
		return fmt.Errorf("after the next update %q is installed", version)
	}
	return r.looker.verdict()
}

// mayLose is how many requests the victim may have had in its hands: the client has one at a time.
func (r *run) mayLose() int64 {
	if r.victim.role == "stage" || r.victim.role == "proof" {
		return 0
	}
	return 1
}

// coldStart starts what is installed, which must be what it was when everybody was dead.
func (r *run) coldStart() error {
	r.quiet(0) // nobody was there to answer
	installed := r.looker.look()
	out, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(r.dir, "opt", "app"), r.serveArgs()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cold start: %w", err)
	}
	go cmd.Wait()
	if err := r.settle(); err != nil {
		return fmt.Errorf("cold start: %w", err)
	}
	if now := r.looker.look(); now != installed {
		return fmt.Errorf("cold start: %q was installed, and then %q", installed, now)
	}
	return nil
}
