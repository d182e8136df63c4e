package fleet

import (
	"math"
	"reflect"
	"testing"
	"time"
)

const hosts = 20_000

func fleetOf(interval time.Duration) Fleet {
	return Fleet{Hosts: hosts, Seed: 1, Interval: interval, Edges: 100}
}

func curve(t *testing.T, name string) Curve {
	t.Helper()
	for _, c := range Curves() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no curve %q", name)
	return Curve{}
}

func spread(t *testing.T, o Rollout) Spread {
	t.Helper()
	s, err := o.Run()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// polled is the share of hosts that check in the time after an instant that has nothing to do with their rhythm: the waits
// are between nine and eleven tenths of an interval.
func polled(after, interval time.Duration) float64 {
	const steps = 10_000
	share := 0.0
	for i := range steps {
		t := (float64(i) + 0.5) / steps * float64(after) / float64(interval)
		share += min(max((1.1-t)/0.2, 0), 1) / steps
	}
	return share * float64(after) / float64(interval)
}

// TestAgainstFormulas compares the simulation with what can be calculated.
func TestAgainstFormulas(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		curve          string
		interval, halt time.Duration
		want           float64
	}{
		// Whoever has checked has it.
		{"all at once", 6 * h, 3 * h, polled(3*h, 6*h)},
		{"all at once", 6 * h, 6 * h, polled(6*h, 6*h)},
		{"all at once", 24 * h, h, polled(h, 24*h)},
		{"all at once", h, 2 * h, 1},
		// Whose turn has come, and who has checked; most take it up to a tenth of an interval after their turn.
		{"linear 48 h", 6 * h, 12 * h, (12 - 0.3) / 48},
		{"linear 24 h", h, 4 * h, (4 - 0.05) / 24},
		{"linear 24 h", 24 * h, h, polled(h, 24*h) / 48}, // at each instant: checked × turn; integrated over the hour
		{"stairs 1-10-50-100 %", h, 4 * h, 0.01},
		{"stairs 1-10-50-100 %", 6 * h, 12 * h, 0.1},
		{"exponential 48 h", 6 * h, 32 * h, 0.1 - 0.07/8*0.3},
	} {
		o := Rollout{Fleet: fleetOf(c.interval), Curve: curve(t, c.curve), Halt: c.halt, Until: 96 * h}
		got := float64(spread(t, o).Took) / hosts
		if d := math.Abs(got - c.want); d > 4*math.Sqrt(c.want*(1-c.want)/hosts)+0.02*c.want {
			t.Errorf("%s, every %v, halted after %v: %.5f took it, want %.5f", c.curve, c.interval, c.halt, got, c.want)
		}
	}
}

// TestHaltCutsOff: until a halt everything goes as it does without one.
func TestHaltCutsOff(t *testing.T) {
	o := Rollout{Fleet: fleetOf(6 * time.Hour), Curve: curve(t, "linear 24 h"), Fails: 0.2, Until: 48 * time.Hour, Halt: Never}
	free := spread(t, o)
	o.Halt = 5 * time.Hour
	halted := spread(t, o)
	if want := int(free.taken[5*60]); halted.Took < want || halted.Took > want+want/100 || halted.Late != 0 {
		t.Errorf("%d took it, %d of them late; without a halt %d had", halted.Took, halted.Late, want)
	}
	if free.Took != hosts || free.HaltedAt != -1 {
		t.Errorf("without a halt %d of %d", free.Took, hosts)
	}
	// A build in quarantine is not tried again, however often the host checks.
	if got := float64(free.Undone) / hosts; math.Abs(got-0.2) > 0.01 {
		t.Errorf("%.3f were undone", got)
	}
}

// TestCopiesDelayTheHalt: a copy that does not know of it hands the release out for as long as it is served.
func TestCopiesDelayTheHalt(t *testing.T) {
	o := Rollout{Fleet: fleetOf(time.Hour), Curve: curve(t, "all at once"), Halt: 30 * time.Minute, Until: 24 * time.Hour}
	if s := spread(t, o); s.Late != 0 {
		t.Errorf("%d late without copies", s.Late)
	}
	o.MaxAge = 10 * time.Minute
	s := spread(t, o)
	// Copies are of all ages between 0 and 10 minutes when the halt comes: on average half of that time.
	if got, want := float64(s.Late)/hosts, 5.0/60; math.Abs(got-want) > 0.2*want {
		t.Errorf("%.4f late, want %.4f", got, want)
	}
	// And the release itself: in half an hour half of the hosts check, and half of these see the feed as it was before.
	o.MaxAge, o.Halt = 30*time.Minute, Never
	if got := float64(spread(t, o).taken[30]) / hosts; math.Abs(got-0.25) > 0.05 {
		t.Errorf("%.3f took it from a copy, want 0.25", got)
	}
}

// TestReports: the publisher halts once enough has been heard.
func TestReports(t *testing.T) {
	o := Rollout{Fleet: fleetOf(6 * time.Hour), Curve: curve(t, "linear 24 h"), Fails: 0.5, Delay: 12 * time.Hour,
		Reported: 0.1, Reports: 20, Halt: time.Hour, Until: 48 * time.Hour}
	quick := spread(t, o)
	o.Fails = 0
	slow := spread(t, o)
	if quick.HaltedAt < 3600 || quick.HaltedAt > 3*3600 {
		t.Errorf("halted after %.0f s", quick.HaltedAt)
	}
	if slow.HaltedAt < 13*3600 || slow.Took < 10*quick.Took || slow.Faults == 0 {
		t.Errorf("a fault that shows after 12 h: halted after %.0f s, %d took it; one at once %d", slow.HaltedAt, slow.Took, quick.Took)
	}
	o.Reported = 0
	if s := spread(t, o); s.HaltedAt != -1 || s.Took != hosts {
		t.Errorf("nothing was heard: halted after %.0f s, %d took it", s.HaltedAt, s.Took)
	}
}

// TestHostsThatAreOff take it when they come back, if they still may.
func TestHostsThatAreOff(t *testing.T) {
	o := Rollout{Fleet: fleetOf(time.Hour), Curve: curve(t, "all at once"), Off: 0.4, OffFor: 20 * time.Hour, Halt: 10 * time.Hour, Until: 48 * time.Hour}
	if got, want := float64(spread(t, o).Took)/hosts, 0.6+0.4*9.5/20; math.Abs(got-want) > 0.01 {
		t.Errorf("%.3f took it, want %.3f", got, want)
	}
}

func TestSameSeedSameFigures(t *testing.T) {
	o := Rollout{Fleet: fleetOf(6 * time.Hour), Curve: curve(t, "exponential 48 h"), Fails: 0.2, Reported: 0.5, Reports: 5, Halt: time.Hour, Until: 48 * time.Hour}
	a, b := spread(t, o), spread(t, o)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%d took it, then %d", a.Took, b.Took)
	}
	o.Seed++
	if c := spread(t, o); reflect.DeepEqual(a.taken, c.taken) {
		t.Error("another seed changes nothing")
	}
}

func TestCurvesAreWellFormed(t *testing.T) {
	for _, c := range Curves() {
		_, after, _ := Rollout{Curve: c}.offers()
		if r := after[0].Rollout; r != nil {
			if err := r.Check(); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
}
