package grace

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A Blob is a piece of the application's own state that travels to the next generation: a warm cache, a cursor, counters. It is a
// hint: it may be missing, old, or written by another version, and a program that starts from nothing must start without it.
// A predecessor gives it three times: when its successor starts, when it stops accepting, and when it has drained.
//
//	var hits = grace.Blob[int]{Name: "hits", Version: 1, Encode: encode, Decode: decode}
//
//	n, _ := hits.AtStart(ctx, p)                // of the predecessor
//	hits.Keep(p, func() int { return count() }) // for the successor
type Blob[T any] struct {
	Name    string // the same in all generations
	Version int    // of what Encode writes

	// Encode writes the value. An error keeps it from being sent.
	Encode func(T) ([]byte, error)
	// Decode reads what a predecessor wrote, which may be of another version, older or newer. An error declines it: both
	// generations log it, and the handover goes on.
	Decode func(version int, data []byte) (T, error)
}

const (
	// blobPatience is how long a function of the application may take over one blob.
	blobPatience = 3 * time.Second
	// statePatience bounds the wait for a round of blobs that the predecessor has promised.
	statePatience = 10 * time.Second
	// mostState is the size of all blobs of one round, in bytes. More does not belong on a link whose other messages must
	// not wait: a file or a socket of the application's own carries it (Process.Open).
	mostState = 16 << 20
	// pieceSize keeps frames short, so that no other message waits long.
	pieceSize = 64 << 10
)

// The rounds in which blobs are sent.
const (
	roundStart   = "start"   // after HELLO
	roundStandby = "standby" // when the predecessor has parked
	roundEnd     = "drained" // when it has drained, just before its end
)

// Keep says where the value comes from when a successor needs it. value is called from a goroutine of its own, beside everything else, and
// has 3 seconds, together with Encode; all blobs of a process may have 16 MiB. What takes longer, fails, panics or is larger is
// not sent, and logged. Keep a Blob once.
func (b Blob[T]) Keep(p *Process, value func() T) {
	p.blobs.mu.Lock()
	defer p.blobs.mu.Unlock()
	p.blobs.keepers = append(p.blobs.keepers, &keeper{name: b.Name, version: b.Version,
		encode: func(context.Context) ([]byte, error) { return b.Encode(value()) }})
}

// AtStart returns the value that the predecessor had when it started this process. It waits until that has arrived, at most 10
// seconds. It is false in generation 1, and when there is none, or none that Decode can read. It can be taken once, before
// Active is closed.
func (b Blob[T]) AtStart(ctx context.Context, p *Process) (T, bool) {
	ctx, cancel := context.WithTimeout(ctx, statePatience)
	defer cancel()
	return b.take(ctx, p, roundStart)
}

// AtStandby returns the value that the predecessor had when it stopped accepting connections, which it does once this process
// is ready. It waits for that until ctx ends: a goroutine of its own may call it. It is false as AtStart is, and when
// the predecessor has died before. It can be taken once.
func (b Blob[T]) AtStandby(ctx context.Context, p *Process) (T, bool) {
	return b.take(ctx, p, roundStandby)
}

// AtEnd returns the value that the predecessor had at the very end, when it had drained: counters that are to be complete. It waits for
// that until ctx ends, so a goroutine of its own calls it. It is false as AtStandby is. It can be taken once.
func (b Blob[T]) AtEnd(ctx context.Context, p *Process) (T, bool) {
	return b.take(ctx, p, roundEnd)
}

func (b Blob[T]) take(ctx context.Context, p *Process, round string) (value T, ok bool) {
	raw, ok := p.blobs.take(ctx, round, b.Name)
	if !ok {
		return value, false
	}
	value, err := bounded(ctx, blobPatience, func(context.Context) (T, error) { return b.Decode(raw.version, raw.data) })
	if err != nil {
		p.log.Warn("declined a blob", "generation", p.generation, "name", b.Name, "blob_version", raw.version, "err", err)
		p.up.send(newMessage(msgDeclined, "name", b.Name, "version", strconv.Itoa(raw.version), "reason", err.Error()))
		var none T
		return none, false
	}
	return value, true
}

// blobs are those of this process for its successor, and those of its predecessor for this process.
type blobs struct {
	mu      sync.Mutex
	keepers []*keeper
	rounds  map[string]*stateRound // from a predecessor that sends blobs; else nil

	sending sync.Mutex // one round after the other
}

// keeper yields one blob. busy is set while the application's function runs.
type keeper struct {
	name    string
	version int
	encode  func(context.Context) ([]byte, error)
	busy    atomic.Bool
}

// stateRound is what has arrived of one round.
type stateRound struct {
	complete chan struct{}
	over     bool
	size     int
	got      map[string]*rawBlob
}

type rawBlob struct {
	version int
	data    []byte
	partial bool
}

// expect prepares for the blobs that an offer has promised.
func (bs *blobs) expect() {
	bs.rounds = map[string]*stateRound{}
	for _, name := range []string{roundStart, roundStandby, roundEnd} {
		bs.rounds[name] = &stateRound{complete: make(chan struct{}), got: map[string]*rawBlob{}}
	}
}

// receive takes one piece of a blob, or the end of a round.
func (bs *blobs) receive(m message, _ int) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	r := bs.rounds[m.get("round")]
	if r == nil || r.over {
		return
	}
	if m.get("end") != "" {
		r.end()
		return
	}
	piece, err := base64.RawURLEncoding.DecodeString(m.get("data"))
	version, err2 := strconv.Atoi(m.get("version"))
	if r.size += len(piece); err != nil || err2 != nil || r.size > mostState {
		delete(r.got, m.get("name"))
		return
	}
	b := r.got[m.get("name")]
	switch first := m.get("first") != ""; {
	case first:
		b = &rawBlob{version: version}
		r.got[m.get("name")] = b
	case b == nil: // its beginning could not be read
		return
	}
	b.data = append(b.data, piece...)
	b.partial = m.get("more") != ""
}

// end drops what has not arrived to its end. The caller holds mu.
func (r *stateRound) end() {
	if r.over {
		return
	}
	r.over = true
	for name, b := range r.got {
		if b.partial {
			delete(r.got, name)
		}
	}
	close(r.complete)
}

// none is the end of the predecessor: what has arrived is all there is.
func (bs *blobs) none() {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, r := range bs.rounds {
		r.end()
	}
}

// forget drops what nobody has taken of the first round.
func (bs *blobs) forget() {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if r := bs.rounds[roundStart]; r != nil {
		r.end()
		clear(r.got)
	}
}

func (bs *blobs) take(ctx context.Context, round, name string) (rawBlob, bool) {
	bs.mu.Lock()
	r := bs.rounds[round]
	bs.mu.Unlock()
	if r == nil {
		return rawBlob{}, false
	}
	select {
	case <-r.complete:
	case <-ctx.Done():
		return rawBlob{}, false
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := r.got[name]
	if b == nil {
		return rawBlob{}, false
	}
	delete(r.got, name)
	return *b, true
}

// sendState asks the application for its blobs and sends them. It takes its time, so it runs in a goroutine, which ends with
// the last piece, or when the successor is gone.
func (p *Process) sendState(c *child, round string) {
	p.blobs.sending.Lock()
	defer p.blobs.sending.Unlock()
	p.blobs.mu.Lock()
	keepers := p.blobs.keepers
	p.blobs.mu.Unlock()

	data, errs := make([][]byte, len(keepers)), make([]error, len(keepers))
	var wg sync.WaitGroup
	for i, k := range keepers {
		wg.Go(func() { data[i], errs[i] = k.value() })
	}
	wg.Wait()
	size := 0
	for i, k := range keepers {
		if errs[i] == nil && size+len(data[i]) > mostState {
			errs[i] = fmt.Errorf("%d bytes: together more than %d", len(data[i]), mostState)
		}
		if errs[i] != nil {
			p.log.Warn("keep a blob for the successor", "generation", p.generation, "name", k.name, "err", errs[i])
			continue
		}
		size += len(data[i])
		if err := k.send(c.link, round, data[i]); err != nil {
			return // its death is noticed elsewhere
		}
	}
	c.link.send(newMessage(msgState, "round", round, "end", "1"))
}

func (k *keeper) value() ([]byte, error) {
	if k.busy.Swap(true) {
		return nil, errors.New("it has not returned from the last time")
	}
	return bounded(context.Background(), blobPatience, func(ctx context.Context) ([]byte, error) {
		defer k.busy.Store(false)
		return k.encode(ctx)
	})
}

func (k *keeper) send(l *link, round string, data []byte) error {
	for first := true; first || len(data) > 0; first = false {
		n := min(pieceSize, len(data))
		m := newMessage(msgState, "round", round, "name", k.name, "version", strconv.Itoa(k.version),
			"data", base64.RawURLEncoding.EncodeToString(data[:n]))
		data = data[n:]
		if first {
			m.fields.Set("first", "1")
		}
		if len(data) > 0 {
			m.fields.Set("more", "1")
		}
		if err := l.send(m); err != nil {
			return err
		}
	}
	return nil
}

// declined logs what the successor could not read.
func (p *Process) declined(m message, _ int) {
	p.log.Warn("the successor declined a blob", "generation", p.generation, "name", m.get("name"),
		"blob_version", m.get("version"), "err", m.get("reason"))
}
