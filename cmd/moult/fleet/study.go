package fleet

import (
	"context"
	"slices"
	"time"
)

// Study is a set of simulations of one fleet.
type Study struct {
	Rollout   // what the bad releases have in common
	Curves    []Curve
	Intervals []time.Duration
	MaxAges   []time.Duration // of timestamp.json: for the days without a release
	Reactions []time.Duration // of the publisher
	Refresh   time.Duration
	Cost      Cost
	Full      int64 // bytes of a payload
	Delta     int64
}

// Findings is what came of a Study.
type Findings struct {
	Schema   int        `json:"schema"`
	Hosts    int        `json:"hosts"`
	Seed     uint64     `json:"seed"`
	Polling  []Polled   `json:"polling"`
	Adoption []Adoption `json:"adoption"`
	Bad      []Spread   `json:"bad"`

	study Study
}

// Adoption is a good release: how fast hosts take it, and what they fetch.
type Adoption struct {
	Curve     string  `json:"curve"`
	Interval  float64 `json:"interval_seconds"`
	Half      float64 `json:"half_seconds"` // until half of the hosts have it; -1: they never do
	Most      float64 `json:"most_seconds"` // until 99 of 100 have it
	Full      int64   `json:"bytes_full"`   // that all of them fetch, without deltas
	Delta     int64   `json:"bytes_delta"`  // with them
	PeakFull  float64 `json:"peak_full_bits_per_second"`
	PeakDelta float64 `json:"peak_delta_bits_per_second"` // in the busiest hour

	taken []int32
}

// Run makes all simulations, and tells step what it begins.
func (s Study) Run(ctx context.Context, step func(string)) (*Findings, error) {
	f := &Findings{Schema: 1, Hosts: s.Hosts, Seed: s.Seed, study: s}
	steps := []func(time.Duration, func(string)) error{f.days, f.good, f.bad}
	for _, run := range steps {
		for _, interval := range s.Intervals {
			err := run(interval, func(what string) { step(what + ", a check every " + span(interval)) })
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// days are those without a release: for each age of copies, and for each way to start.
func (f *Findings) days(interval time.Duration, step func(string)) error {
	step("a day without a release")
	p := Polling{Fleet: f.study.Fleet, Refresh: f.study.Refresh, Cost: f.study.Cost, Start: Settled}
	p.Interval = interval
	for _, p.MaxAge = range f.study.MaxAges {
		f.Polling = append(f.Polling, p.Run())
	}
	p.MaxAge = f.study.MaxAge
	for _, p.Start = range []Start{Restarted, Aligned} {
		f.Polling = append(f.Polling, p.Run())
	}
	return nil
}

func (f *Findings) good(interval time.Duration, step func(string)) error {
	o := f.study.Rollout
	o.Interval, o.Fails, o.Reported, o.Halt = interval, 0, 0, Never
	for _, o.Curve = range f.study.Curves {
		step("a good release, " + o.Curve.Name)
		s, err := o.Run()
		if err != nil {
			return err
		}
		a := Adoption{Curve: s.Curve, Interval: s.Interval, taken: s.taken, Full: int64(s.Took) * f.study.Full, Delta: int64(s.Took) * f.study.Delta}
		a.Half, a.Most = reached(s.taken, f.Hosts/2), reached(s.taken, f.Hosts-f.Hosts/100)
		busiest := int32(0)
		for i := 60; i < len(s.taken); i++ {
			busiest = max(busiest, s.taken[i]-s.taken[i-60])
		}
		a.PeakFull, a.PeakDelta = float64(busiest)*float64(f.study.Full)*8/hour, float64(busiest)*float64(f.study.Delta)*8/hour
		f.Adoption = append(f.Adoption, a)
	}
	return nil
}

// reached is the second in which so many hosts have it.
func reached(taken []int32, hosts int) float64 {
	i := slices.IndexFunc(taken, func(n int32) bool { return int(n) >= hosts })
	if i < 0 {
		return -1
	}
	return float64(i) * 60
}

func (f *Findings) bad(interval time.Duration, step func(string)) error {
	o := f.study.Rollout
	o.Interval = interval
	run := func() error {
		s, err := o.Run()
		f.Bad = append(f.Bad, s)
		return err
	}
	for _, o.Curve = range f.study.Curves {
		step("a bad release, " + o.Curve.Name)
		o.Reports, o.Halt = 0, 0
		for _, o.Halt = range f.study.Reactions {
			if err := run(); err != nil {
				return err
			}
		}
		if o.Reports, o.Halt = f.study.Reports, f.study.Halt; o.Reports > 0 {
			if err := run(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Plots are the pictures: of the day's requests, of a good release, and of how far a bad one comes until it is halted. They show
// the middle one of the intervals.
func (f *Findings) Plots() []Plot {
	interval := f.study.Intervals[len(f.study.Intervals)/2]
	hosts := float64(f.Hosts)
	day := Plot{Name: "polling", Title: "Requests in a second, a check every " + span(interval) + " (highest of some minutes)", X: "hours of the day", Y: "1/s", Hours: 24, Least: 1, Most: 10}
	for day.Most < 2*hosts {
		day.Most *= 10
	}
	for _, p := range f.Polling {
		if p.Interval != interval.Seconds() || p.MaxAge != f.study.MaxAge.Seconds() {
			continue
		}
		s := Series{Name: startName[p.Start], Y: make([]float64, 24*60)}
		for i, n := range p.seconds {
			s.Y[i/60] = max(s.Y[i/60], float64(n))
		}
		day.Series = append(day.Series, s)
	}
	good := Plot{Name: "adoption", Title: "Hosts that have a release, a check every " + span(interval), X: "hours since the publication", Y: "%", Hours: 72, Most: 100}
	bad := Plot{Name: "halt", Title: "Hosts that took a bad release, by the time of its halt", X: "hours from the publication to the halt", Y: "%", Hours: 48, Least: 0.01, Most: 100}
	for _, a := range f.Adoption {
		if a.Interval != interval.Seconds() {
			continue
		}
		s := Series{Name: a.Curve}
		for _, n := range a.taken {
			s.Y = append(s.Y, 100*float64(n)/hosts)
		}
		good.Series = append(good.Series, Series{s.Name, s.Y[:min(len(s.Y), 72*60)]})
		bad.Series = append(bad.Series, Series{s.Name, s.Y[:min(len(s.Y), 48*60)]})
	}
	return []Plot{day, good, bad}
}

var startName = map[Start]string{Settled: "as shipped", Restarted: "all restarted at 0:00", Aligned: "no jitter (control)"}
