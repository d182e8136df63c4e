package admin

import "time"

// LogLevel is what a server logs.
type LogLevel struct {
	Schema int    `json:"schema"`
	Level  string `json:"level"` // as log/slog writes it: DEBUG, INFO, WARN, ERROR, or "INFO+2"
	// Usual is the level that comes back at Until, if it is another one for a while.
	Usual string    `json:"usual,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// SetLogLevel asks for another level.
type SetLogLevel struct {
	Level string  `json:"level"`
	For   Seconds `json:"for_seconds,omitempty"` // after that the usual one comes back; default: when this process is replaced
}
