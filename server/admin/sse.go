package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// retryAfter is when a client comes back after the end of its stream: the successor owns the socket by then.
	retryAfter = 500 * time.Millisecond
	// pingPeriod keeps a silent stream from looking dead, and finds clients that are.
	pingPeriod = 15 * time.Second
	// streamPatience bounds the wait for a client that does not read.
	streamPatience = 10 * time.Second
)

// EventSource is the part of a Backend that events come from.
type EventSource interface {
	Status() Status
	// Subscribe returns the events after the one with the ID after ("": those to come; one of another process, or one that is
	// forgotten: all that are remembered). The channel is closed when the process lets go, or when its reader is too slow.
	Subscribe(after string) (events <-chan Event, cancel func())
}

// EventStream returns a handler of GET that sends what s tells as Server-Sent Events: first one of type "status" with the present [Status], then
// each [Event] with its ID and its kind as the type, at last "bye" when this process lets go: the client finds the successor
// where it found this one. It honours Last-Event-ID.
func EventStream(s EventSource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events, cancel := s.Subscribe(r.Header.Get("Last-Event-ID"))
		defer cancel()
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // a proxy on the way must not collect them
		e := sse{w, http.NewResponseController(w)}
		if e.say("retry: %d\n\n", retryAfter.Milliseconds()) != nil || e.send("", "status", s.Status()) != nil {
			return
		}
		ping := time.NewTicker(pingPeriod)
		defer ping.Stop()
		for {
			var err error
			select {
			case ev, ok := <-events:
				if !ok {
					e.send("", "bye", struct{}{})
					return
				}
				err = e.send(ev.ID, string(ev.Kind), ev)
			case <-ping.C:
				err = e.say(": ping\n\n")
			case <-r.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
}

// sse writes Server-Sent Events and flushes each.
type sse struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (e sse) send(id, kind string, document any) error {
	b, err := json.Marshal(document) // in one line, as the format wants it
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return e.say("%sevent: %s\ndata: %s\n\n", id, kind, b)
}

func (e sse) say(format string, args ...any) error {
	e.c.SetWriteDeadline(time.Now().Add(streamPatience)) // where it cannot be set there is no connection either
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	return e.c.Flush()
}
