package release

import (
	"encoding/json"
	"fmt"
	"time"
)

// BrakePath is the target path of the brake.
const BrakePath = "brake.json"

// MaxBrakeSize is the largest brake, in bytes, that ParseBrake accepts.
const MaxBrakeSize = 256 << 10

// Brake stops releases. The online key signs it alone, so that a bad release can be stopped at any hour by whoever is on
// duty, and by a thief of that key: hence it can only stop, never offer. What takes an entry back is Release.Resumed in the
// index, which the targets key signs.
type Brake struct {
	Schema  int          `json:"schema"`
	App     string       `json:"app"`
	Entries []BrakeEntry `json:"entries"`
}

// BrakeEntry stops one version on all platforms.
type BrakeEntry struct {
	Serial  int64       `json:"serial"`            // counts up from 1, never used twice
	Channel string      `json:"channel,omitempty"` // "" for every channel
	Version Version     `json:"version"`
	Action  BrakeAction `json:"action"`
	Stop
}

// BrakeAction is what an entry does.
type BrakeAction string

const (
	Halt BrakeAction = "halt" // nobody else takes it until it is resumed
	Yank BrakeAction = "yank" // it is withdrawn
)

// Stop says why and since when a release is not to be taken.
type Stop struct {
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

const (
	maxBrakeEntries = 1024
	maxReason       = 1024
)

// ParseBrake reads and checks a brake.
func ParseBrake(b []byte) (*Brake, error) {
	if len(b) > MaxBrakeSize {
		return nil, fmt.Errorf("parse brake: %d bytes, more than %d", len(b), MaxBrakeSize)
	}
	var k Brake
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("parse brake: %w", err)
	}
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("parse brake: %w", err)
	}
	return &k, nil
}

func (k *Brake) check() error {
	if k.Schema < 1 || k.Schema > IndexSchema {
		return fmt.Errorf("schema %d, this version reads up to %d", k.Schema, IndexSchema)
	}
	if err := CheckName("application", k.App); err != nil {
		return err
	}
	if len(k.Entries) > maxBrakeEntries {
		return fmt.Errorf("%d entries, more than %d", len(k.Entries), maxBrakeEntries)
	}
	last := int64(0)
	for _, e := range k.Entries {
		switch {
		case e.Serial <= last:
			return fmt.Errorf("entry %d after %d", e.Serial, last)
		case e.Version.IsZero():
			return fmt.Errorf("entry %d: no version", e.Serial)
		case len(e.Reason) > maxReason:
			return fmt.Errorf("entry %d: a reason of %d bytes", e.Serial, len(e.Reason))
		case e.Channel != "" && CheckName("channel", e.Channel) != nil:
			return fmt.Errorf("entry %d: bad channel %.80q", e.Serial, e.Channel)
		}
		last = e.Serial
	}
	return nil
}

// Marshal writes the brake as the publisher signs it.
func (k *Brake) Marshal() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("write brake: %w", err)
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write brake: %w", err)
	}
	return append(b, '\n'), nil
}

// Apply marks the releases of ix that an entry stops and that were not resumed since. An action that this version does not
// know halts: a brake that is not understood must still brake.
func (k *Brake) Apply(ix *Index) {
	for i := range ix.Releases {
		r := &ix.Releases[i]
		for _, e := range k.Entries {
			if e.Serial <= r.Resumed || e.Version.Compare(r.Version) != 0 || e.Channel != "" && e.Channel != ix.Channel {
				continue
			}
			stop := e.Stop
			switch {
			case e.Action == Yank && r.Yanked == nil:
				r.Yanked = &stop
			case e.Action != Yank && r.Halted == nil:
				r.Halted = &stop
			}
		}
	}
}
