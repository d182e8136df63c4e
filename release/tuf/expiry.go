package tuf

import (
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Expiry is the end of one role's metadata.
type Expiry struct {
	Role    string    `json:"role"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
}

// EndsSoon reports whether somebody should have renewed the role by now: 60 days before its end for root, targets and
// brake, 10 for the snapshot, and 7, half of its time, for the timestamp.
func (e Expiry) EndsSoon(now time.Time) bool {
	const day = 24 * time.Hour
	early := 60 * day
	switch e.Role {
	case metadata.SNAPSHOT:
		early = 10 * day
	case metadata.TIMESTAMP:
		early = timestampLife / 2
	}
	return e.Expires.Sub(now) < early
}
