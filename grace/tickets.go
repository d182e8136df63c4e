package grace

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"time"
)

// crypto/tls makes a ticket key of its own every day, and accepts its old ones for a week (RFC 8446, 4.6.1, allows a ticket no
// longer life). Once it was given keys it leaves that to us, and we keep its times.
const (
	ticketRotation = 24 * time.Hour
	ticketLifetime = 7 * 24 * time.Hour
	mostTicketKeys = 16
)

// ticketPatience bounds the wait of a TLS server for keys that its predecessor has promised to send.
const ticketPatience = time.Second

// A ticketKey encrypts session tickets. Whoever has it can read the connections that resume by them.
type ticketKey struct {
	secret [32]byte
	born   time.Time
}

// tickets are the keys of all TLS servers of this process. A successor gets them over the link, never by environment or argv, and so
// accepts the tickets of its predecessor; the two serve at the same time, and neither changes the keys meanwhile.
type tickets struct {
	due      chan struct{} // a token when it is time for a new key
	expected chan struct{} // closed when the predecessor's keys are here, or will not come; nil when it sends none

	mu      sync.Mutex
	keys    []ticketKey // the newest first; none until a TLS server needs them
	configs []*tls.Config
	timer   *time.Timer
	over    bool // nothing more comes from the predecessor
}

// SessionTickets lets cfg's sessions resume in later generations, as ServeTLS does for HTTPS: for those who accept TLS connections by
// themselves. It does nothing to a config that looks after tickets by itself. leave ends it, when nobody accepts any more.
func (p *Process) SessionTickets(cfg *tls.Config) (leave func()) {
	if ownTickets(cfg) {
		return func() {}
	}
	p.tickets.attend(cfg)
	return func() { p.tickets.leave(cfg) }
}

// attend gives cfg the keys of this process, now and whenever they change, until leave.
func (t *tickets) attend(cfg *tls.Config) {
	if t.expected != nil {
		patience := time.NewTimer(ticketPatience)
		defer patience.Stop()
		select {
		case <-t.expected:
		case <-patience.C:
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == 0 {
		t.add()
	}
	t.configs = append(t.configs, cfg)
	t.apply()
}

func (t *tickets) leave(cfg *tls.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.configs = slices.DeleteFunc(t.configs, func(c *tls.Config) bool { return c == cfg })
}

// rotate makes a new key if it is time for one, and returns how many there are. Only a process that serves, with no other
// generation beside it, calls it.
func (t *tickets) rotate() (kept int, made bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == 0 {
		return 0, false
	}
	if time.Since(t.keys[0].born) >= ticketRotation {
		made = true
		t.add()
		t.apply()
	}
	t.schedule()
	return len(t.keys), made
}

// add puts a new key first. The caller holds mu.
func (t *tickets) add() {
	k := ticketKey{born: time.Now()}
	rand.Read(k.secret[:]) // never fails
	t.keep(append([]ticketKey{k}, t.keys...))
}

// keep replaces the keys, without those that are too old. The caller holds mu.
func (t *tickets) keep(keys []ticketKey) {
	old := t.keys
	t.keys = nil
	for _, k := range keys {
		if time.Since(k.born) < ticketLifetime && len(t.keys) < mostTicketKeys {
			t.keys = append(t.keys, k)
		}
	}
	clear(keys)
	clear(old)
	t.schedule()
}

// schedule sets the timer to the end of the newest key's first day. The caller holds mu.
func (t *tickets) schedule() {
	if len(t.keys) == 0 {
		return
	}
	wait := ticketRotation - time.Since(t.keys[0].born)
	if t.timer != nil {
		t.timer.Reset(wait)
		return
	}
	t.timer = time.AfterFunc(wait, func() {
		select {
		case t.due <- struct{}{}:
		default:
		}
	})
}

// apply hands the keys to every server. The caller holds mu.
func (t *tickets) apply() {
	if len(t.keys) == 0 {
		return
	}
	secrets := make([][32]byte, len(t.keys))
	defer clear(secrets)
	for i, k := range t.keys {
		secrets[i] = k.secret
	}
	for _, cfg := range t.configs {
		cfg.SetSessionTicketKeys(secrets)
	}
}

// take adds the keys of the predecessor, before those that this process has made because they came late.
func (t *tickets) take(m message, _ int) {
	defer clear(m.secret)
	keys := decodeKeys(m.secret)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(keys) > 0 {
		t.keep(slices.Concat(keys, t.keys))
		t.apply()
	}
	clear(keys)
	t.settle()
}

// none is the end of the predecessor.
func (t *tickets) none() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
}

// settle ends the wait for the predecessor's keys. The caller holds mu.
func (t *tickets) settle() {
	if t.expected != nil && !t.over {
		t.over = true
		close(t.expected)
	}
}

// message carries the keys to a successor: SECRETS?key=HEX.BIRTH&key=…, the newest first, birth in Unix milliseconds.
func (t *tickets) message() message {
	t.mu.Lock()
	defer t.mu.Unlock()
	const longest = len("&key=.") + 2*32 + 20
	b := make([]byte, 0, len(t.keys)*longest) // append leaves no copy behind
	for _, k := range t.keys {
		b = append(b, "&key="...)
		b = hex.AppendEncode(b, k.secret[:])
		b = append(b, '.')
		b = strconv.AppendInt(b, k.born.UnixMilli(), 10)
	}
	return message{kind: msgSecrets, secret: bytes.TrimPrefix(b, []byte("&"))}
}

// decodeKeys leaves out what it cannot read. A birth in the future (a clock that was set back) is now.
func decodeKeys(query []byte) (keys []ticketKey) {
	for field := range bytes.SplitSeq(query, []byte("&")) {
		name, value, _ := bytes.Cut(field, []byte("="))
		secret, birth, _ := bytes.Cut(value, []byte("."))
		var k ticketKey
		if string(name) != "key" || len(secret) != hex.EncodedLen(len(k.secret)) {
			continue
		}
		if _, err := hex.Decode(k.secret[:], secret); err != nil {
			continue
		}
		ms, err := strconv.ParseInt(string(birth), 10, 64)
		if err != nil {
			continue
		}
		if k.born = time.UnixMilli(ms); time.Until(k.born) > 0 {
			k.born = time.Now()
		}
		keys = append(keys, k)
	}
	return keys
}

// sendSecrets passes the ticket keys on, also when there are none: nobody has to wait for them then.
func (p *Process) sendSecrets(c *child) {
	m := p.tickets.message()
	defer clear(m.secret)
	if err := c.link.send(m); err != nil {
		p.log.Warn("pass on the session ticket keys", "generation", p.generation, "err", err)
	}
}
