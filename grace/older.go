package grace

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Generation is an older process of this line that still drains.
type Generation struct {
	Number      int
	PID         int
	Since       time.Time // when it began to drain
	Connections int       // that it has left
	Hijacked    int       // of those
	Deadline    time.Time // when it closes what is left; zero: never, or it did not say
}

// reportPeriod is how often a process that drains tells the youngest how far it is.
const reportPeriod = time.Second

// older is what this process has heard of the generations before it. Each tells its successor, which passes it on; one that drains waits for
// those before it, so that the line is never broken.
type older struct {
	mu  sync.Mutex
	all map[int]Generation
	cut int // the youngest that was told to go
}

// Older lists the older generations that still drain, the oldest first.
func (p *Process) Older() []Generation {
	o := &p.older
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.SortedFunc(maps.Values(o.all), func(a, b Generation) int { return cmp.Compare(a.Number, b.Number) })
}

// drainReport is this process, for those who come after it.
func (p *Process) drainReport(since time.Time) message {
	c := p.Counts()
	g := Generation{Number: p.generation, PID: os.Getpid(), Since: since, Connections: c.Open, Hijacked: c.Hijacked}
	if p.o.DrainTimeout >= 0 {
		g.Deadline = since.Add(p.o.DrainTimeout)
	}
	return drainMessage(g)
}

func drainMessage(g Generation) message {
	m := newMessage(msgDrain, "generation", strconv.Itoa(g.Number), "pid", strconv.Itoa(g.PID),
		"since", strconv.FormatInt(g.Since.UnixMilli(), 10),
		"open", strconv.Itoa(g.Connections), "hijacked", strconv.Itoa(g.Hijacked))
	if !g.Deadline.IsZero() {
		m.fields.Set("deadline", strconv.FormatInt(g.Deadline.UnixMilli(), 10))
	}
	return m
}

// introduceOlder tells the successor of this process, which has begun to drain, and of those before it.
func (p *Process) introduceOlder(c *child, since time.Time) {
	for _, g := range p.Older() {
		c.link.send(drainMessage(g))
	}
	p.forgetOlder()
	c.link.send(p.drainReport(since))
}

// heardDrain notes what an older generation tells of itself, and sends the oldest away when there are too many.
func (p *Process) heardDrain(m message) {
	number := func(name string) int { n, _ := strconv.Atoi(m.get(name)); return n }
	g := Generation{Number: number("generation"), PID: number("pid"), Since: time.UnixMilli(int64(number("since"))),
		Connections: number("open"), Hijacked: number("hijacked")}
	if at := number("deadline"); at > 0 {
		g.Deadline = time.UnixMilli(int64(at))
	}
	o := &p.older
	o.mu.Lock()
	if o.all == nil {
		o.all = map[int]Generation{}
	}
	if m.get("gone") != "" {
		delete(o.all, g.Number)
	} else {
		o.all[g.Number] = g
	}
	o.mu.Unlock()
	if all := p.Older(); p.o.MaxDraining >= 0 && len(all) > p.o.MaxDraining {
		p.cut(all[0])
	}
}

// cut tells an older generation to close what it has left, once.
func (p *Process) cut(g Generation) {
	if p.older.cut >= g.Number {
		return
	}
	p.older.cut = g.Number
	p.log.Warn("too many generations drain: the oldest must go", "generation", g.Number, "pid", g.PID,
		"connections", g.Connections, "age", time.Since(g.Since).Round(time.Second), "limit", p.o.MaxDraining)
	p.up.send(newMessage(msgCut, "generation", strconv.Itoa(g.Number)))
}

// forgetOlder is the end of the predecessor, which waited for all before it.
func (p *Process) forgetOlder() {
	p.older.mu.Lock()
	p.older.all = nil
	p.older.mu.Unlock()
}
