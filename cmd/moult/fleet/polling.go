package fleet

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Start says how the hosts of a Polling came to their rhythm.
type Start string

const (
	Settled   Start = "settled"   // they have been running for long
	Restarted Start = "restarted" // all were started in one second, the first of the day
	Aligned   Start = "aligned"   // a control that nobody should ship: no jitter, all check at full intervals by their clocks
)

// day is how long a Polling lasts, in seconds.
const day = 24 * 60 * 60

// Polling is a day on which nothing is released.
type Polling struct {
	Fleet
	Start   Start
	Refresh time.Duration // how often timestamp.json is signed again, the first time after half of that; at least 2 s
	Cost    Cost
}

// Cost is what checks send and receive, in bytes on the wire, all layers above TCP included.
type Cost struct {
	Up, Down int64 // of a check that finds nothing new
	Signed   int64 // what one receives besides that finds timestamp.json signed again
}

// requests of a check: for the next root, which is not there, and for timestamp.json.
const requests = 2

// Polled is what came of a Polling.
type Polled struct {
	Start       Start   `json:"start"`
	Interval    float64 `json:"interval_seconds"`
	MaxAge      float64 `json:"max_age_seconds"`
	Checks      int64   `json:"checks"`
	Requests    int64   `json:"requests"`
	NotModified float64 `json:"not_modified"` // share of the requests for timestamp.json
	Hits        float64 `json:"edge_hits"`    // share of all requests that a copy answered
	Up          int64   `json:"bytes_up"`
	Down        int64   `json:"bytes_down"`
	// Requests in a second, over the seconds of the day, at all copies together, and the most that reached the origin.
	PerSecond struct {
		P50 int32 `json:"p50"`
		P99 int32 `json:"p99"`
		Max int32 `json:"max"`
	} `json:"requests_per_second"`
	OriginMax int32 `json:"origin_max_per_second"`

	seconds []int32 // requests
}

// Run simulates the day.
func (p Polling) Run() Polled {
	r := p.rand()
	w := newWheel(p.Hosts, day)
	stamps, roots := newEdges(p.Edges, p.MaxAge, r), newEdges(p.Edges, min(p.MaxAge, 5*time.Minute), r)
	has := make([]int32, p.Hosts) // the version of timestamp.json that a host has
	out := Polled{Start: p.Start, Interval: p.Interval.Seconds(), MaxAge: p.MaxAge.Seconds(), seconds: make([]int32, day)}
	for h := range int32(p.Hosts) {
		w.add(h, p.first(r))
	}
	var current, hits int64
	origin := make([]int32, day)
	request := func(e *edges, host int32, now int) int {
		out.seconds[now]++
		as, hit := e.ask(host, now)
		if hit {
			hits++
		} else {
			origin[now]++
		}
		return as
	}
	s, half := p.schedule(), seconds(p.Refresh)/2
	w.run(func(int) bool { return true }, func(host int32, now int) {
		request(roots, host, now)
		version := int32((request(stamps, host, now) + half) / (2 * half))
		out.Checks++
		if version > has[host] {
			has[host] = version
		} else {
			current++
		}
		if p.Start == Aligned {
			w.add(host, p.first(r)+(now/seconds(p.Interval)+1)*seconds(p.Interval))
		} else {
			w.add(host, now+seconds(s.Wait(r, time.Time{}, time.Time{}, 0)))
		}
	})
	return p.sum(out, current, hits, origin)
}

// first is the second of a host's first check.
func (p Polling) first(r *rand.Rand) int {
	switch p.Start {
	case Restarted:
		return seconds(p.schedule().First(r))
	case Aligned:
		return 1 + r.IntN(2) // clocks of servers agree that well
	}
	return p.settled(r)
}

func (p Polling) sum(out Polled, current, hits int64, origin []int32) Polled {
	changed := out.Checks - current
	out.Requests = out.Checks * requests
	out.Up = out.Checks * p.Cost.Up
	out.Down = out.Checks*p.Cost.Down + changed*p.Cost.Signed
	if out.Checks > 0 {
		out.NotModified = float64(current) / float64(out.Checks)
		out.Hits = float64(hits) / float64(out.Requests)
	}
	sorted := slices.Clone(out.seconds)
	slices.Sort(sorted)
	out.PerSecond.P50, out.PerSecond.P99, out.PerSecond.Max = sorted[day/2], sorted[day*99/100], sorted[day-1]
	out.OriginMax = slices.Max(origin)
	return out
}
