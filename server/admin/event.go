package admin

import "time"

// Event is something that happened in a server. Beside what every event has, exactly the field of its Kind is set.
type Event struct {
	ID         string    `json:"id"` // "GENERATION.N": N counts from 1 in each process
	Time       time.Time `json:"time"`
	Generation int       `json:"generation"` // of the process that tells
	Kind       EventKind `json:"kind"`

	State    *StateChange `json:"state,omitempty"`
	Upgrade  *Line        `json:"upgrade,omitempty"` // what who asked for it is told as well
	Draining []Draining   `json:"draining,omitempty"`
	Updates  *Updates     `json:"updates,omitempty"`
	Health   *Health      `json:"health,omitempty"`
	LogLevel *LogLevel    `json:"log_level,omitempty"`
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	KindState    EventKind = "state"     // of this process, or a step of a handover
	KindUpgrade  EventKind = "upgrade"   // of an upgrade, a rollback or a restart, whoever began it: progress, and the end
	KindDraining EventKind = "draining"  // the older generations have more or fewer connections left; none: the last is gone
	KindUpdates  EventKind = "updates"   // updating was turned on or off
	KindHealth   EventKind = "health"    // what the program and others say of its health
	KindLogLevel EventKind = "log-level" // from now on
)

// StateChange tells where a process is, and which step led there.
type StateChange struct {
	State string `json:"state"` // as package grace names them
	// Step is one of a handover, as package grace names them, of the generation Of with the process PID. Took is what passed since the
	// step before it.
	Step  string  `json:"step,omitempty"`
	Of    int     `json:"of,omitempty"`
	PID   int     `json:"pid,omitempty"`
	Took  Seconds `json:"took_seconds,omitempty"`
	Error string  `json:"error,omitempty"` // why it was undone

	StopsAt time.Time `json:"stops_at,omitzero"` // a stop was asked for
}
