package page

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moult-go/moult/server/admin"
)

const (
	// retry is when a browser comes back after the end of its stream: at a handover, to the successor.
	retry = 200 * time.Millisecond
	// beat is how often counts are looked at that nobody tells of, such as connections.
	beat = time.Second
	// settle lets what comes together go out together.
	settle = 50 * time.Millisecond
	// ping keeps a silent stream from looking dead, to proxies and to ourselves.
	ping = 15 * time.Second
	// patience bounds the wait for a browser that does not read.
	patience = 10 * time.Second
	// maxStreams is how many browsers follow at a time; others are to look again later.
	maxStreams = 200
)

// rendering is the live part of the page, for all who look at this moment.
type rendering struct {
	html string
	at   time.Time
}

// live is what <main> says now. A moment's rendering serves everybody who may see the same.
func (p *page) live(who audience) (string, error) {
	i := 0
	if who.Buttons {
		i = 1
	}
	p.mu.Lock()
	r := p.rendered[i]
	p.mu.Unlock()
	if p.now().Sub(r.at) < settle {
		return r.html, nil
	}
	r.at = p.now()
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "main", p.look(who, time.Time{})); err != nil {
		return "", err
	}
	r.html = clean(b.String())
	p.mu.Lock()
	p.rendered[i] = r
	p.mu.Unlock()
	return r.html, nil
}

// stream sends the live part of the page whenever it changes, as Server-Sent Events with the ID "GENERATION.MILLISECONDS" (of this host's clock), until
// this process lets go: then "bye", and the browser finds the successor where it found this one.
func (p *page) stream(w http.ResponseWriter, r *http.Request) {
	if p.streams.Add(1) > maxStreams {
		p.streams.Add(-1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many look already", http.StatusServiceUnavailable)
		return
	}
	defer p.streams.Add(-1)
	events, cancel := p.o.Server.Subscribe("")
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy on the way must not collect them
	s := sender{w, http.NewResponseController(w)}
	if p.o.Server.Status().State == "draining" { // a browser that came back by an old connection: nothing will end this stream
		w.Header().Set("Connection", "close")
		s.say("retry: %d\nevent: bye\ndata:\n\n", retry.Milliseconds())
		return
	}
	if s.say("retry: %d\nevent: edition\ndata: %s\n\n", retry.Milliseconds(), edition) != nil {
		return
	}
	who := p.who(r)
	tick, pings := time.NewTicker(beat), time.NewTicker(ping)
	defer tick.Stop()
	defer pings.Stop()
	for last := ""; ; {
		html, err := p.live(who)
		if err != nil {
			p.log.Error("render the status page", "err", err)
			return
		}
		if html != last {
			last = html
			if s.send(strconv.Itoa(p.o.Server.Status().Generation)+"."+strconv.FormatInt(p.now().UnixMilli(), 10), "page", html) != nil {
				return
			}
		}
		select {
		case _, ok := <-events:
			if !ok || !calm(events) {
				s.send("", "bye", "")
				return
			}
		case <-tick.C:
		case <-pings.C:
			who = p.who(r) // a session ends
			err = s.say(": ping\n\n")
		case <-r.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// calm takes what comes in a moment, and reports whether there will be more.
func calm(events <-chan admin.Event) bool {
	for end := time.After(settle); ; {
		select {
		case _, ok := <-events:
			if !ok {
				return false
			}
		case <-end:
			return true
		}
	}
}

// sender writes Server-Sent Events and flushes each.
type sender struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (s sender) send(id, kind, data string) error {
	if id != "" {
		id = "id: " + id + "\n"
	}
	return s.say("%sevent: %s\ndata: %s\n\n", id, kind, strings.ReplaceAll(data, "\n", "\ndata: "))
}

func (s sender) say(format string, args ...any) error {
	s.c.SetWriteDeadline(time.Now().Add(patience)) // where it cannot be set there is no connection either
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.c.Flush()
}
