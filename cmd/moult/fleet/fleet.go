// Package fleet simulates many hosts that follow one feed, in virtual time: how they poll, and how far a bad release comes before
// it is halted. What a host does is decided by the code that servers run: updater.Schedule says when it checks, updater.Choose
// what it takes. Around that the package has a model of its own: of the copies that a CDN keeps, of hosts that are off, of faults and of a
// publisher who learns of them. The same seed gives the same figures.
package fleet

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/moult-go/moult/updater"
)

// Fleet is what the simulations have in common.
type Fleet struct {
	Hosts    int           // more than 0
	Seed     uint64        // of everything that is drawn
	Interval time.Duration // between two checks of a host, on average
	Edges    int           // copies of the feed that a CDN keeps, each for an equal part of the hosts; more than 0
	MaxAge   time.Duration // how long a copy of timestamp.json is served before it is looked at again
}

func (f Fleet) rand() *rand.Rand { return rand.New(rand.NewPCG(f.Seed, 0x6d6f756c74)) }

func (f Fleet) schedule() updater.Schedule { return updater.Schedule{Interval: f.Interval} }

// settled is the first check after the beginning of time of a host that has been running for long.
func (f Fleet) settled(r *rand.Rand) int {
	const before = 4 // intervals; what remains of the common start is forgotten then
	s := f.schedule()
	at := -before*f.Interval + s.First(r)
	for at <= 0 {
		at += s.Wait(r, time.Time{}, time.Time{}, 0)
	}
	return seconds(at)
}

// seedOf is a host's own seed. A real one is 32 random bytes; what counts is that it differs.
func (f Fleet) seedOf(host int32, buf *[16]byte) []byte {
	binary.LittleEndian.PutUint64(buf[:], f.Seed)
	binary.LittleEndian.PutUint64(buf[8:], uint64(host))
	return buf[:]
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// wheel is the queue of events: for each second of virtual time the list of the hosts that act then. A host has one event at a time.
type wheel struct {
	first []int32 // for each second; -1 for nobody
	next  []int32 // for each host
	now   int
}

func newWheel(hosts, end int) *wheel {
	w := &wheel{first: make([]int32, end), next: make([]int32, hosts)}
	for i := range w.first {
		w.first[i] = -1
	}
	return w
}

// add lets a host act at a second, but never in the present one; what comes after the end does not happen.
func (w *wheel) add(host int32, at int) {
	at = max(at, w.now+1)
	if at >= len(w.first) {
		return
	}
	w.next[host], w.first[at] = w.first[at], host
}

// run calls act for each event in the order of time, and tick before those of each second, until tick says that it is over.
func (w *wheel) run(tick func(now int) bool, act func(host int32, now int)) {
	for ; w.now < len(w.first) && tick(w.now); w.now++ {
		for h := w.first[w.now]; h >= 0; {
			next := w.next[h]
			act(h, w.now)
			h = next
		}
	}
}

// edges are a CDN's copies of one file.
type edges struct {
	fetched []int // when; at the beginning of time some moment before it
	maxAge  int   // seconds
}

func newEdges(n int, maxAge time.Duration, r *rand.Rand) *edges {
	e := &edges{make([]int, n), seconds(maxAge)}
	for i := range e.fetched {
		e.fetched[i] = -1 - r.IntN(e.maxAge+1)
	}
	return e
}

// ask returns the instant of which the answer to a host is, and whether a copy gave it.
func (e *edges) ask(host int32, now int) (as int, hit bool) {
	f := &e.fetched[int(host)%len(e.fetched)]
	if now-*f < e.maxAge {
		return *f, true
	}
	*f = now
	return now, false
}
