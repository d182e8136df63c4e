package gracetest

import (
	"net/url"
	"strconv"
)

// event is what a server tells the test: a step of grace (spawned, standby, moving, committed, rolled-back, drained, resurrected,
// orphaned), or one of Run's own:
//
//	born        the test binary is a server; nothing is inherited yet
//	held        it waits at the phase in text
//	ready       it serves, at the address in text
//	committing  its commit runs
//	undone      its handover failed for the reason in text
//	active      it is the one
//	ended       it has drained
type event struct {
	name  string
	from  int    // pid of the server
	about int    // pid of its successor, in a step of grace
	text  string // an address, a phase or an error
}

func (e event) line() string {
	return url.Values{"name": {e.name}, "from": {strconv.Itoa(e.from)}, "about": {strconv.Itoa(e.about)}, "text": {e.text}}.Encode() + "\n"
}

func parseEvent(line string) (event, error) {
	v, err := url.ParseQuery(line)
	if err != nil {
		return event{}, err
	}
	from, err := strconv.Atoi(v.Get("from"))
	if err != nil {
		return event{}, err
	}
	about, err := strconv.Atoi(v.Get("about"))
	return event{v.Get("name"), from, about, v.Get("text")}, err
}
