package server

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

const (
	// remembered is how many events a client may miss between two connections.
	remembered = 256
	// slack is how far a subscriber may fall behind what is told now.
	slack = 64
	// progressPeriod is how often a download in progress is told to those who did not ask for it.
	progressPeriod = 250 * time.Millisecond
	// olderPeriod is how often older generations tell how far they are.
	olderPeriod = time.Second
	// olderPatience is how many periods without any show that all are gone.
	olderPatience = 5
)

// hub tells what happens in this process to whoever listens. It never waits for anybody: who is too slow is dropped, comes back, and is told
// what it missed.
type hub struct {
	mu      sync.Mutex
	last    int // number of the newest event
	ring    []admin.Event
	readers map[chan admin.Event]bool
	gone    bool      // somebody else serves, or nobody: nobody listens here for long
	fetched time.Time // when the progress of a download was last told
}

func newHub() *hub { return &hub{readers: map[chan admin.Event]bool{}} }

// tell numbers an event of the generation that it names.
func (h *hub) tell(e admin.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.ID = strconv.Itoa(e.Generation) + "." + strconv.Itoa(h.last)
	e.Time = time.Now()
	h.ring = append(h.ring, e)
	h.ring = h.ring[max(0, len(h.ring)-remembered):]
	for ch := range h.readers {
		select {
		case ch <- e:
		default:
			h.drop(ch)
		}
	}
}

func (h *hub) drop(ch chan admin.Event) {
	if h.readers[ch] {
		delete(h.readers, ch)
		close(ch)
	}
}

// subscribe is EventSource's.
func (h *hub) subscribe(after string) (<-chan admin.Event, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := make(chan admin.Event, remembered+slack)
	for _, e := range h.missed(after) {
		ch <- e
	}
	h.readers[ch] = true
	if h.gone {
		h.drop(ch)
	}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.drop(ch)
	}
}

// missed returns what came after an event, as far as it is remembered.
func (h *hub) missed(after string) []admin.Event {
	if after == "" {
		return nil
	}
	for i, e := range h.ring {
		if e.ID == after {
			return h.ring[i+1:]
		}
	}
	return h.ring
}

// dismiss ends all streams, those too that begin now: their clients find whoever serves.
func (h *hub) dismiss() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	for ch := range h.readers {
		h.drop(ch)
	}
}

// resume lets streams last again: this process serves after all.
func (h *hub) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = false
}

// tooOften reports whether progress was told a moment ago.
func (h *hub) tooOften(e updater.Event) bool {
	if e.Phase != updater.PhaseFetch || e.Message != "" || e.Done == e.Total {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.fetched) < progressPeriod {
		return true
	}
	h.fetched = time.Now()
	return false
}

// Subscribe returns the events of this process, see admin.EventSource.
func (r *runner) Subscribe(after string) (<-chan admin.Event, func()) { return r.hub.subscribe(after) }

// tell completes an event and tells it.
func (r *runner) tell(e admin.Event) {
	e.Generation = r.p.Generation()
	r.hub.tell(e)
}

func (r *runner) tellState() {
	r.tell(admin.Event{Kind: admin.KindState, State: &admin.StateChange{State: r.p.State().String()}})
}

func (r *runner) tellStep(e grace.Event) {
	s := &admin.StateChange{State: r.p.State().String(), Step: string(e.Step), Of: e.Generation, PID: e.PID, Took: admin.Seconds(e.Took)}
	if e.Err != nil {
		s.Error = strings.ToValidUTF8(e.Err.Error(), "")
	}
	r.tell(admin.Event{Kind: admin.KindState, State: s})
}

// tellProgress passes on how far an attempt is.
func (r *runner) tellProgress(e updater.Event) {
	r.passage.note(&e)
	if !r.hub.tooOften(e) {
		r.tell(admin.Event{Kind: admin.KindUpgrade, Upgrade: &admin.Line{Event: &e}})
	}
}

// tellEnd tells how an attempt that somebody asked for has ended.
func (r *runner) tellEnd(out updater.Outcome, err error) {
	r.passage.note(nil)
	l := &admin.Line{Result: &out}
	if err != nil {
		l = &admin.Line{Error: admin.NewFailure(r.s.Name, r.s.Version, err)}
	}
	r.tell(admin.Event{Kind: admin.KindUpgrade, Upgrade: l})
}

// watchOlder tells of the older generations until the last is gone. None comes later: a process has those that were there before it.
func (r *runner) watchOlder(done <-chan struct{}) {
	tick := time.NewTicker(olderPeriod)
	defer tick.Stop()
	var known []admin.Draining
	for silent := 0; silent < olderPatience; {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		now := r.draining()
		if len(now) == 0 {
			silent++
		}
		if !slices.Equal(known, now) {
			r.tell(admin.Event{Kind: admin.KindDraining, Draining: now})
		}
		known = now
	}
}
