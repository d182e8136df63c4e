package admin

import (
	"net/http"
	"time"
)

// Drain asks a server to stop: /readyz fails from now on, so that load balancers move on; after Delay it takes no more requests, finishes
// those under way until its drain deadline, and ends. Until the delay is over, Undo takes it back.
type Drain struct {
	Delay Seconds `json:"delay_seconds,omitempty"` // default 0, at most a day
	Undo  bool    `json:"undo,omitempty"`
}

// Drained is how that stands.
type Drained struct {
	Schema   int       `json:"schema"`
	PID      int       `json:"pid"`               // of the process that ends
	StopsAt  time.Time `json:"stops_at,omitzero"` // absent: it was taken back
	Deadline time.Time `json:"deadline,omitzero"` // when it closes what is left; absent: never
}

func (h handler) drain(w http.ResponseWriter, r *http.Request) {
	var d Drain
	if h.read(w, r, &d) {
		drained, err := h.b.Drain(d)
		h.reply(w, drained, err)
	}
}
