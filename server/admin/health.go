package admin

import "time"

// Health is what the program and others say of how it is.
type Health struct {
	Schema int  `json:"schema"`
	Well   bool `json:"well"` // /readyz says so as well
	// Reason is why not.
	Reason string    `json:"reason,omitempty"`
	Votes  []Opinion `json:"votes"` // that count now, by checker
}

// Vote is what a checker outside says. It replaces what that checker said before.
type Vote struct {
	Checker string  `json:"checker"` // a name of its own choice
	Ill     bool    `json:"ill"`
	Reason  string  `json:"reason,omitempty"`
	For     Seconds `json:"for_seconds,omitempty"` // how long it counts; default one minute, at most a day
}

// Opinion is a vote that was given.
type Opinion struct {
	Vote
	Generation int       `json:"generation"` // whom it is about: the one that served then
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
}
