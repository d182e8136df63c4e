package grace

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A manager is the service manager that started this line of processes (sd_notify(3)); nil is none. It follows one process of
// ours as the main one, and by default (NotifyAccess=main) hears nobody else: generation 1 at first, then whoever the last MAINPID
// named. So only the process that it follows speaks, and the last that it says is who follows.
//
// What is said goes through a queue: a manager that does not read must not hold up the goroutine that owns the state.
type manager struct {
	socket   notifySocket
	log      *slog.Logger
	watchdog time.Duration // it wants a ping at least this often; 0: none

	mu    sync.Mutex
	main  bool // it follows this process, or is being told to
	ended bool
	queue chan notice

	heard   chan struct{} // closed when it follows this process for sure: what is queued may go out
	hearing sync.Once
	done    chan struct{} // closed when the last notice is out
}

// A notice is one datagram.
type notice struct {
	text string
	then func() // called when the manager has read it; may be nil
}

const (
	// barrierTimeout bounds the wait for a service manager to have read what was sent.
	barrierTimeout = 2 * time.Second
	// hearTimeout bounds a new main process's silence: the predecessor tells it when the manager follows it, or dies.
	hearTimeout = 2 * barrierTimeout
	// mostNotices wait for a manager that does not read; then they are dropped.
	mostNotices = 64
)

func newManager(socket notifySocket, watchdog time.Duration, log *slog.Logger) *manager {
	m := &manager{socket: socket, log: log, watchdog: watchdog,
		queue: make(chan notice, mostNotices), heard: make(chan struct{}), done: make(chan struct{})}
	go m.carry()
	return m
}

// carry sends what is queued, in order. It ends with close.
func (m *manager) carry() {
	defer close(m.done)
	<-m.heard
	for n := range m.queue {
		if err := m.socket.send(n.text, nil); err != nil {
			m.log.Warn("service manager", "err", err)
		}
		if n.then == nil {
			continue
		}
		if err := m.socket.barrier(); err != nil {
			m.log.Warn("service manager", "err", err)
		}
		n.then()
	}
}

// tell queues one datagram of these lines, if this process is the one to speak.
func (m *manager) tell(lines ...string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(notice{text: strings.Join(lines, "\n")})
}

// put is tell under the lock, so that a watchdog's ping never comes after the word that hands over.
func (m *manager) put(n notice) {
	if !m.main || m.ended {
		return
	}
	select {
	case m.queue <- n:
	default:
		m.log.Warn("service manager: it does not read", "dropped", n.text)
	}
}

// handOver says lines, MAINPID among them: the last from this process. Then is called when the manager has read them; only
// then may this process exit, or the manager would take that for the end of the service.
func (m *manager) handOver(then func(), lines ...string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(notice{strings.Join(lines, "\n"), then})
	m.main = false
}

// takeOver makes this process the one to speak: after hear, or at last after hearTimeout.
func (m *manager) takeOver() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.main = true
	time.AfterFunc(hearTimeout, m.hear)
}

// hear notes that the manager follows this process, or that there is nobody left who could tell.
func (m *manager) hear() {
	if m != nil {
		m.hearing.Do(func() { close(m.heard) })
	}
}

// followsUs reports whether this process is the one to speak.
func (m *manager) followsUs() bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.main
}

// close sends what is left, for a while.
func (m *manager) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.ended = true
	close(m.queue)
	m.mu.Unlock()
	m.hear()
	select {
	case <-m.done:
	case <-time.After(2 * barrierTimeout):
		m.log.Warn("service manager: it does not read: exit without its answer")
	}
}
