package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// The phases of a handover, as the predecessor sees them. One ends where the next begins.
const (
	phaseStart     = "start"     // from the trigger until the successor speaks
	phaseReady     = "ready"     // until it serves
	phaseProbation = "probation" // until it has proved itself
	phaseCommit    = "commit"    // until the executable is replaced and the successor knows; only where there is something to commit
	phaseDrain     = "drain"     // until the predecessor has nothing left
)

var phases = []string{phaseStart, phaseReady, phaseProbation, phaseCommit, phaseDrain}

// What became of a handover: one of these.
const (
	handoverCommitted   = "committed"
	handoverRolledBack  = "rolled-back"
	handoverResurrected = "resurrected" // committed, but the successor died while the predecessor drained, and that served again
)

var handoverOutcomes = []string{handoverCommitted, handoverRolledBack, handoverResurrected}

// What became of a connection of a process that was replaced.
const (
	fateMoved   = "moved"   // to the successor
	fateDrained = "drained" // ended when nothing was owed
	fateCut     = "cut"     // closed by us
)

var fates = []string{fateMoved, fateDrained, fateCut}

// record is what a line of processes knows of itself. Everything in it that is a number only grows.
type record struct {
	Phases      map[string]durations `json:"phases"`
	Handovers   map[string]uint64    `json:"handovers"`   // by outcome
	Connections map[string]uint64    `json:"connections"` // by fate

	Parked time.Time    `json:"parked,omitzero"` // when the process that passes it on last stopped accepting
	Source sourceRecord `json:"source"`
}

// sourceRecord is what was heard of the source of updates: a new process does not ask it for hours.
type sourceRecord struct {
	LastAnswer time.Time        `json:"last_answer,omitzero"`
	Newer      string           `json:"newer"` // version; the rest is as of then
	Expiries   []updater.Expiry `json:"expiries,omitempty"`
}

func newSourceRecord(st updater.Status) sourceRecord {
	return sourceRecord{st.LastAnswer, st.Newer, st.Expiries}
}

// newerThan reports whether something newer than version was offered: to a successor, what its predecessor was offered may be what it is.
func (s sourceRecord) newerThan(version string) bool {
	newer, err := release.ParseVersion(s.Newer)
	if err != nil {
		return false
	}
	running, err := release.ParseVersion(version)
	return err != nil || newer.Compare(running) > 0
}

func newRecord() record {
	return record{Phases: map[string]durations{}, Handovers: map[string]uint64{}, Connections: map[string]uint64{}}
}

// plus is what this process (r) and those before it (o) have counted together; when it parked, and what they knew of the source.
func (r record) plus(o record) record {
	sum := newRecord()
	for _, one := range []record{r, o} {
		for phase, d := range one.Phases {
			sum.Phases[phase] = sum.Phases[phase].plus(d)
		}
		for outcome, n := range one.Handovers {
			sum.Handovers[outcome] += n
		}
		for fate, n := range one.Connections {
			sum.Connections[fate] += n
		}
	}
	sum.Parked, sum.Source = r.Parked, o.Source
	return sum
}

// bounds are the upper ones of the buckets, in seconds: a start takes milliseconds, a probation a minute, a drain as long as
// its deadline.
var bounds = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

// durations is a histogram that can be passed on.
type durations struct {
	Sum     float64             `json:"sum"` // seconds
	Count   uint64              `json:"count"`
	Buckets [len(bounds)]uint64 `json:"buckets"` // each alone; what is beyond all bounds is only in Count
}

func (d durations) plus(o durations) durations {
	d.Sum += o.Sum
	d.Count += o.Count
	for i, n := range o.Buckets {
		d.Buckets[i] += n
	}
	return d
}

func (d durations) with(took time.Duration) durations {
	one := durations{Sum: took.Seconds(), Count: 1}
	if i, _ := slices.BinarySearch(bounds[:], one.Sum); i < len(bounds) {
		one.Buckets[i] = 1
	}
	return d.plus(one)
}

// cumulative is the form that Prometheus reads.
func (d durations) cumulative() map[float64]uint64 {
	all, sum := map[float64]uint64{}, uint64(0)
	for i, n := range d.Buckets {
		sum += n
		all[bounds[i]] = sum
	}
	return all
}

// recordVersion is that of what travels. Other bounds need another one; a phase or an outcome more does not.
const recordVersion = 1

var recordBlob = grace.Blob[record]{Name: "moult/metrics", Version: recordVersion,
	Encode: func(r record) ([]byte, error) { return json.Marshal(r) },
	Decode: func(version int, data []byte) (record, error) {
		if version != recordVersion {
			return record{}, fmt.Errorf("version %d: want %d", version, recordVersion)
		}
		r := newRecord()
		err := json.Unmarshal(data, &r)
		return r, err
	}}
