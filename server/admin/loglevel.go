package admin

import (
	"net/http"
	"time"
)

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

func (h handler) logLevel(w http.ResponseWriter, _ *http.Request) {
	l, err := h.b.LogLevel()
	h.reply(w, l, err)
}

func (h handler) setLogLevel(w http.ResponseWriter, r *http.Request) {
	var req SetLogLevel
	if h.read(w, r, &req) {
		l, err := h.b.SetLogLevel(req)
		h.reply(w, l, err)
	}
}
