package fleet

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// spreading is a Rollout under way.
type spreading struct {
	Rollout
	w                     *wheel
	edges                 *edges
	rng                   *rand.Rand
	before, after, halted []updater.Candidate
	quarantine            []bool  // the bad release is in this host's quarantine
	shown, heard          []int32 // faults of each second, and those that the publisher hears of
	reports               int
	haltAt                int // second; MaxInt: not known yet
	buf                   [16]byte
	out                   Spread
	err                   error
}

// tick is the publisher's part of a second. After a halt it goes on only as long as some copy may not know of it.
func (s *spreading) tick(now int) bool {
	if now%60 == 0 {
		s.out.taken = append(s.out.taken, int32(s.out.Took))
	}
	s.reports += int(s.heard[now])
	if now <= s.haltAt {
		s.out.Faults += int(s.shown[now])
	}
	if s.Reports > 0 && s.Halt != Never && s.haltAt == math.MaxInt && s.reports >= s.Reports {
		s.haltAt = now + seconds(s.Halt)
	}
	return s.err == nil && (s.haltAt == math.MaxInt || now < s.haltAt+seconds(s.MaxAge)+1)
}

// check is a host's: it sees the feed as its copy has it, chooses as a server does, and comes back when a server does.
func (s *spreading) check(host int32, now int) {
	as, _ := s.edges.ask(host, now)
	offered := s.after
	switch {
	case as < 0:
		offered = s.before
	case as >= s.haltAt:
		offered = s.halted
	}
	at := published.Add(time.Duration(now) * time.Second)
	h := updater.Host{
		Platform: platform, Version: good, Installed: good, Floor: good, Digest: release.Digest{1},
		Seed: s.seedOf(host, &s.buf),
	}
	if s.quarantine[host] {
		h.Quarantine = crashed
	}
	c, err := updater.Choose(offered, h, updater.Request{}, at)
	if err != nil {
		s.err = err
		return
	}
	if c.Stop == nil && c.Candidate.Version.Compare(bad) == 0 {
		s.take(host, now)
		return
	}
	var turn time.Time
	if c.Turn != nil {
		turn = c.Turn.At
	}
	s.w.add(host, now+seconds(s.schedule().Wait(s.rng, at, turn, 0)))
}

var crashed = []updater.Quarantined{{Digest: release.Digest{2}, Version: bad.String(), Reason: "crashed"}}

// take is an upgrade to the bad release. Where probation finds the fault the host goes on with the version before, and polls;
// where it does not, nothing that the feed says helps the host any more.
func (s *spreading) take(host int32, now int) {
	s.out.Took++
	if now > s.haltAt {
		s.out.Late++
	}
	if s.rng.Float64() < s.Fails {
		s.out.Undone++
		s.quarantine[host] = true
		s.fault(now + probation)
		s.w.add(host, now+probation+seconds(s.schedule().Wait(s.rng, time.Time{}, time.Time{}, 0)))
		return
	}
	s.fault(now + seconds(s.Delay))
}

// fault shows at a second, and the publisher may hear of it.
func (s *spreading) fault(at int) {
	heard := s.rng.Float64() < s.Reported
	if at >= len(s.shown) {
		return
	}
	s.shown[at]++
	if heard {
		s.heard[at]++
	}
}
