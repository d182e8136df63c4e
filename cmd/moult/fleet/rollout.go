package fleet

import (
	"math"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// Curve is a way to hand a release out.
type Curve struct {
	Name   string
	Points []release.Point // none: to everybody at once
}

const hour = 60 * 60 // seconds

// Curves are those that the simulation compares.
func Curves() []Curve {
	return []Curve{
		{Name: "all at once"},
		{"linear 24 h", []release.Point{{Seconds: 0, Share: 0}, {Seconds: 24 * hour, Share: 1}}},
		{"linear 48 h", []release.Point{{Seconds: 0, Share: 0}, {Seconds: 48 * hour, Share: 1}}},
		{"stairs 1-10-50-100 %", []release.Point{
			{Seconds: 0, Share: 0.01}, {Seconds: 6 * hour, Share: 0.01},
			{Seconds: 6 * hour, Share: 0.1}, {Seconds: 24 * hour, Share: 0.1},
			{Seconds: 24 * hour, Share: 0.5}, {Seconds: 48 * hour, Share: 0.5},
			{Seconds: 48 * hour, Share: 1},
		}},
		{"exponential 48 h", []release.Point{ // ten times as many every 16 hours
			{Seconds: 0, Share: 0.001}, {Seconds: 8 * hour, Share: 0.003}, {Seconds: 16 * hour, Share: 0.01}, {Seconds: 24 * hour, Share: 0.03},
			{Seconds: 32 * hour, Share: 0.1}, {Seconds: 40 * hour, Share: 0.3}, {Seconds: 48 * hour, Share: 1},
		}},
	}
}

// Rollout is a bad release, from its publication on.
type Rollout struct {
	Fleet
	Curve Curve

	Fails    float64       // share of those that take it whose probation finds the fault, and which roll back at once
	Delay    time.Duration // after which all others show it
	Reported float64       // share of the faults that the publisher hears of
	Off      float64       // share of the hosts that are off at the publication
	OffFor   time.Duration // they come back by and by until then

	// The publisher halts the release this long after as many Reports, or, with none, after the publication. Never is never.
	Reports int
	Halt    time.Duration
	Until   time.Duration // the simulation ends, if there was no halt
}

// Never is no halt at all.
const Never time.Duration = -1

// Spread is how far a Rollout came.
type Spread struct {
	Curve    string  `json:"curve"`
	Interval float64 `json:"interval_seconds"`
	Reports  int     `json:"reports"`
	Halt     float64 `json:"reaction_seconds"`
	HaltedAt float64 `json:"halted_at_seconds"` // after the publication; -1 for never
	Took     int     `json:"took"`              // hosts that took it at all
	Undone   int     `json:"undone"`            // of these: probation failed, the earlier version is back
	Late     int     `json:"late"`              // of Took: after the halt, from a copy that did not know of it
	Faults   int     `json:"faults"`            // hosts that had shown the fault by the halt, or the end

	taken []int32 // hosts that have taken it by the end of each minute
}

// The fleet runs one version, and the other is bad. What probation finds is found before it ends.
var (
	good, bad = release.MustParseVersion("1.0.0"), release.MustParseVersion("1.1.0")
	platform  = release.Platform{OS: "linux", Arch: "amd64"}
	probation = 60 // seconds
	published = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// offers returns what the feed offers before the publication, after it, and after the halt.
func (o Rollout) offers() (before, after, halted []updater.Candidate) {
	old := updater.Candidate{Version: good, Platform: platform, Digest: release.Digest{1}}
	c := updater.Candidate{Version: bad, Platform: platform, Digest: release.Digest{2}}
	if len(o.Curve.Points) > 0 {
		c.Rollout = &release.Rollout{Salt: "salt", Start: published, Curve: o.Curve.Points}
	}
	stopped := c
	stopped.Halted = &release.Stop{Since: published}
	return []updater.Candidate{old}, []updater.Candidate{c, old}, []updater.Candidate{stopped, old}
}

// Run simulates until nobody can take the release any more, or the end.
func (o Rollout) Run() (Spread, error) {
	end, rng := seconds(o.Until), o.rand()
	s := &spreading{
		Rollout: o, w: newWheel(o.Hosts, end), edges: newEdges(o.Edges, o.MaxAge, rng), rng: rng,
		quarantine: make([]bool, o.Hosts), shown: make([]int32, end), heard: make([]int32, end), haltAt: math.MaxInt,
		out: Spread{Curve: o.Curve.Name, Interval: o.Interval.Seconds(), Reports: o.Reports, Halt: o.Halt.Seconds(), HaltedAt: -1},
	}
	s.before, s.after, s.halted = o.offers()
	if o.Reports == 0 && o.Halt != Never {
		s.haltAt = seconds(o.Halt)
	}
	for h := range int32(o.Hosts) {
		at := o.settled(s.rng)
		if s.rng.Float64() < o.Off {
			at = seconds(time.Duration(s.rng.Float64()*float64(o.OffFor)) + o.schedule().First(s.rng))
		}
		s.w.add(h, at)
	}
	s.w.run(s.tick, s.check)
	if s.haltAt < math.MaxInt {
		s.out.HaltedAt = float64(s.haltAt)
	}
	return s.out, s.err
}
