package admin

import (
	"net/http"
	"time"

	"github.com/moult-go/moult/updater"
)

// Health is what the program and others say of how it is.
type Health struct {
	Schema   int       `json:"schema"`
	Well     bool      `json:"well"`     // nobody says otherwise
	Findings []Finding `json:"findings"` // of the program about itself: its Health and its Checks
	Votes    []Opinion `json:"votes"`    // of others, as far as they count now, in the order of their names
}

// Finding is the answer to one question.
type Finding struct {
	Name   string `json:"name"`
	Well   bool   `json:"well"`
	Reason string `json:"reason,omitempty"` // why not
}

// Vote is what a checker outside says of the process that serves now. It replaces what that checker said before. On probation an ill vote leads
// to a rollback, as if the new version had said so itself; at other times /readyz fails.
type Vote struct {
	Checker string  `json:"checker"` // a name of its own choice, as one of Service.Checks: lowercase letters, digits and ._-
	Ill     bool    `json:"ill"`
	Reason  string  `json:"reason,omitempty"`
	For     Seconds `json:"for_seconds,omitempty"` // how long it counts: default a minute, at most a day
}

// Opinion is a vote that was given.
type Opinion struct {
	Vote
	Generation int            `json:"generation"` // whom it is about: the one that served then
	Since      time.Time      `json:"since"`
	Until      time.Time      `json:"until"`
	By         *updater.Asker `json:"by,omitempty"`
}

func (h handler) health(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, h.b.Health(r.Context()))
}

func (h handler) vote(w http.ResponseWriter, r *http.Request) {
	var v Vote
	if h.read(w, r, &v) {
		d, err := h.b.Vote(r.Context(), AskerOf(r.Context()), v)
		h.reply(w, d, err)
	}
}
