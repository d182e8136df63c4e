package release

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Rollout hands a release out by and by. Who is first is decided by each host for itself, from the signed salt and its own
// seed: no server needs to know the hosts. Another salt brings other hosts first.
type Rollout struct {
	Salt  string    `json:"salt"` // drawn at random for each release
	Start time.Time `json:"start"`
	// Curve is the share of hosts that may have it, over the time since Start: straight lines between the points, the
	// first share before the first point nothing, the last one for ever after the last.
	Curve []Point `json:"curve"`
}

// Point is one corner of a rollout's curve.
type Point struct {
	Seconds int64   `json:"seconds"` // since the start
	Share   float64 `json:"share"`   // of all hosts: 0 to 1
}

const (
	maxPoints = 64
	maxSalt   = 64
	maxCurve  = 10 * 365 * 24 * 60 * 60
)

// Check returns an error unless the rollout is well formed: shares from 0 to 1 that never fall, times that never go back.
func (r *Rollout) Check() error {
	switch {
	case r.Salt == "" || len(r.Salt) > maxSalt:
		return fmt.Errorf("rollout: a salt of %d bytes, want 1 to %d", len(r.Salt), maxSalt)
	case r.Start.IsZero():
		return errors.New("rollout: no start")
	case len(r.Curve) == 0 || len(r.Curve) > maxPoints:
		return fmt.Errorf("rollout: %d points, want 1 to %d", len(r.Curve), maxPoints)
	}
	for i, p := range r.Curve {
		if p.Seconds < 0 || p.Seconds > maxCurve || !(p.Share >= 0 && p.Share <= 1) {
			return fmt.Errorf("rollout: point %d s, share %v", p.Seconds, p.Share)
		}
		if i > 0 && (p.Seconds < r.Curve[i-1].Seconds || p.Share < r.Curve[i-1].Share) {
			return fmt.Errorf("rollout: after %d s it falls or goes back", p.Seconds)
		}
	}
	return nil
}

// Share is the share of hosts, 0 to 1, that may have the release at an instant.
func (r *Rollout) Share(at time.Time) float64 {
	t := at.Sub(r.Start).Seconds()
	share := 0.0
	for i, p := range r.Curve {
		next := float64(p.Seconds)
		if t >= next {
			share = p.Share
			continue
		}
		if i > 0 {
			q := r.Curve[i-1]
			share = q.Share + (p.Share-q.Share)*(t-float64(q.Seconds))/(next-float64(q.Seconds))
		}
		break
	}
	return share
}

// Slot is the instant from which the host with this seed may have the release; false if its share never comes.
func (r *Rollout) Slot(seed []byte) (time.Time, bool) {
	place := r.place(seed)
	for i, p := range r.Curve {
		if p.Share <= place {
			continue
		}
		after := float64(p.Seconds)
		if i > 0 {
			q := r.Curve[i-1]
			if share := max(place, q.Share); p.Seconds > q.Seconds {
				after = float64(q.Seconds) + (after-float64(q.Seconds))*(share-q.Share)/(p.Share-q.Share)
			}
		}
		return r.Start.Add(time.Duration(math.Ceil(after)) * time.Second), true
	}
	return time.Time{}, false
}

// place is where a host stands in the queue: uniform in [0, 1) over seeds, and another one for each salt.
func (r *Rollout) place(seed []byte) float64 {
	h := sha256.New()
	fmt.Fprintf(h, "moult rollout\x00%s\x00", r.Salt)
	h.Write(seed)
	return float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) / (1 << 53)
}
