package grace

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTicketRotation: a new key every 24 hours, in front; each is kept for a week; the timer says when.
func TestTicketRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := &tickets{due: make(chan struct{}, 1)}
		ts.attend(&tls.Config{})
		defer func() { ts.timer.Stop() }()
		first := ts.keys[0]
		for day := 1; day <= 9; day++ {
			began := time.Now()
			<-ts.due
			if d := time.Since(began); d != ticketRotation {
				t.Fatalf("day %d: due after %s", day, d)
			}
			before := ts.keys[0]
			kept, made := ts.rotate()
			if !made || kept != min(day+1, 7) || ts.keys[0].secret == before.secret || ts.keys[1].secret != before.secret {
				t.Fatalf("day %d: %d keys, made %t", day, kept, made)
			}
			if has := slices.Contains(ts.keys, first); has != (day < 7) {
				t.Errorf("day %d: the first key is there: %t", day, has)
			}
			if _, made := ts.rotate(); made {
				t.Errorf("day %d: a second new key", day)
			}
		}
	})
}

// TestTicketsTravel: what was sent is what arrives, and nothing of it stays in the buffers.
func TestTicketsTravel(t *testing.T) {
	from := &tickets{due: make(chan struct{}, 1)}
	from.attend(&tls.Config{})
	from.keys[0].born = time.Now().Add(-25 * time.Hour)
	from.rotate()
	var buf bytes.Buffer
	sent := from.message()
	if err := writeMessage(&buf, sent); err != nil {
		t.Fatal(err)
	}
	m, err := readMessage(&buf)
	if err != nil || m.kind != msgSecrets || !bytes.Equal(m.secret, sent.secret) {
		t.Fatalf("%q, %v", m.secret, err)
	}
	to := &tickets{due: make(chan struct{}, 1), expected: make(chan struct{})}
	to.take(m, -1)
	if len(to.keys) != 2 {
		t.Fatalf("%d keys arrived", len(to.keys))
	}
	for i, k := range from.keys {
		if to.keys[i].secret != k.secret || to.keys[i].born.UnixMilli() != k.born.UnixMilli() {
			t.Errorf("key %d is another", i)
		}
	}
	if bytes.ContainsFunc(m.secret, func(r rune) bool { return r != 0 }) {
		t.Error("the keys are still in the buffer")
	}
}

// TestLateTickets: keys that come after the wait was given up go before the own ones, which are still accepted.
func TestLateTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &tickets{due: make(chan struct{}, 1)}
		from.attend(&tls.Config{})
		to := &tickets{due: make(chan struct{}, 1), expected: make(chan struct{})}
		began := time.Now()
		to.attend(&tls.Config{})
		if d := time.Since(began); d != ticketPatience || len(to.keys) != 1 {
			t.Fatalf("waited %s, made %d keys", d, len(to.keys))
		}
		own := to.keys[0]
		to.take(from.message(), -1)
		if len(to.keys) != 2 || to.keys[0].secret != from.keys[0].secret || to.keys[1] != own {
			t.Errorf("%d keys, not theirs and then ours", len(to.keys))
		}
		to.none() // the end of the predecessor is no second end of the wait
		for _, ts := range []*tickets{from, to} {
			ts.timer.Stop()
		}
	})
}

// TestNoTicketsToExpect: a predecessor that has no keys, or dies, holds nobody up.
func TestNoTicketsToExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []func(*tickets){
			func(ts *tickets) { ts.take((&tickets{}).message(), -1) },
			func(ts *tickets) { ts.none() },
			func(ts *tickets) { ts.expected = nil }, // an older one promises none
		} {
			ts := &tickets{due: make(chan struct{}, 1), expected: make(chan struct{})}
			end(ts)
			began := time.Now()
			ts.attend(&tls.Config{})
			if time.Since(began) != 0 || len(ts.keys) != 1 {
				t.Errorf("waited %s, %d keys", time.Since(began), len(ts.keys))
			}
			ts.timer.Stop()
		}
	})
}

func TestDecodeKeysLeavesOutJunk(t *testing.T) {
	good := bytes.Repeat([]byte("0f"), 32)
	in := bytes.Join([][]byte{[]byte("key=zz.1"), []byte("later=1"), []byte("key="), []byte(""),
		append(append([]byte("key="), good...), ".soon"...), append(append([]byte("key="), good...), ".99999999999999"...)}, []byte("&"))
	keys := decodeKeys(in)
	if len(keys) != 1 || keys[0].secret[31] != 15 || time.Until(keys[0].born) > 0 {
		t.Errorf("%v", keys)
	}
}

// TestOwnTickets: what the application has said about tickets stands.
func TestOwnTickets(t *testing.T) {
	given := &tls.Config{}
	given.SetSessionTicketKeys([][32]byte{{1}})
	for name, c := range map[string]struct {
		cfg *tls.Config
		own bool
	}{
		"nothing": {&tls.Config{}, false},
		"keys":    {given.Clone(), true},
		//lint:ignore SA1019 a program may still set it
		"a key":    {&tls.Config{SessionTicketKey: [32]byte{1}}, true},
		"disabled": {&tls.Config{SessionTicketsDisabled: true}, true},
		"wrapped": {&tls.Config{WrapSession: func(tls.ConnectionState, *tls.SessionState) ([]byte, error) {
			return nil, nil
		}}, true},
		"unwrapped": {&tls.Config{UnwrapSession: func([]byte, tls.ConnectionState) (*tls.SessionState, error) {
			return nil, nil
		}}, true},
	} {
		if got := ownTickets(c.cfg); got != c.own {
			t.Errorf("%s: %t, want %t", name, got, c.own)
		}
	}
}

// TestTicketsOfFreshConfigs: a config that GetConfigForClient makes anew for each connection needs no keys: crypto/tls uses
// those of the config that the connection began with.
func TestTicketsOfFreshConfigs(t *testing.T) {
	cert := certificate(t)
	cfg := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
	}}
	ts := &tickets{due: make(chan struct{}, 1)}
	ts.attend(cfg)
	defer func() { ts.timer.Stop() }()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{InsecureSkipVerify: true, ServerName: "x", ClientSessionCache: tls.NewLRUClientSessionCache(1), MaxVersion: version}
		if shake(t, cfg, client) {
			t.Errorf("%x: the first one was resumed", version)
		}
		if !shake(t, cfg, client) {
			t.Errorf("%x: not resumed", version)
		}
	}
}

// shake makes one connection that carries one byte back, and reports whether it was resumed.
func shake(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		_, err := s.Write([]byte("x"))
		done <- err
	}()
	c := tls.Client(b, client)
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().DidResume
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	return srv.TLS.Certificates[0]
}

// TestTLSConfig: whatever a server is configured to speak, ours is what http.Server.ServeTLS offers.
func TestTLSConfig(t *testing.T) {
	cert := certificate(t)
	protocols := func(http1, http2 bool) *http.Protocols {
		var p http.Protocols
		p.SetHTTP1(http1)
		p.SetHTTP2(http2)
		return &p
	}
	for name, srv := range map[string]func() *http.Server{
		"default": func() *http.Server { return &http.Server{} },
		"no HTTP/2": func() *http.Server {
			return &http.Server{TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
		},
		"only 1":     func() *http.Server { return &http.Server{Protocols: protocols(true, false)} },
		"only 2":     func() *http.Server { return &http.Server{Protocols: protocols(false, true)} },
		"in between": func() *http.Server { return &http.Server{TLSConfig: &tls.Config{NextProtos: []string{"acme-tls/1"}}} },
	} {
		s := srv()
		if s.TLSConfig == nil {
			s.TLSConfig = &tls.Config{}
		}
		s.TLSConfig.Certificates = []tls.Certificate{cert}
		if err := s.ServeTLS(closedListener{}, "", ""); err != net.ErrClosed {
			t.Fatalf("%s: %v", name, err)
		}
		cfg, err := tlsConfig(s, "", "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := theirProtos(t, srv(), cert); !reflect.DeepEqual(cfg.NextProtos, want) {
			t.Errorf("%s: %q, net/http offers %q", name, cfg.NextProtos, want)
		}
		if cfg == s.TLSConfig {
			t.Errorf("%s: not a clone", name)
		}
	}
	if _, err := tlsConfig(&http.Server{}, "", ""); err == nil {
		t.Error("no certificate, and no error")
	}
	if _, err := tlsConfig(&http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}, "nothing.pem", "nothing.pem"); err == nil {
		t.Error("files that are not there, and no error")
	}
}

// theirProtos finds out what net/http offers, and in what order: it asks for each alone, then for pairs.
func theirProtos(t *testing.T, srv *http.Server, cert tls.Certificate) (list []string) {
	t.Helper()
	if srv.TLSConfig == nil {
		srv.TLSConfig = &tls.Config{}
	}
	srv.TLSConfig.Certificates = []tls.Certificate{cert}
	srv.ErrorLog = log.New(io.Discard, "", 0)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.ServeTLS(ln, "", "")
	defer srv.Close()
	chosen := func(offer ...string) string {
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: offer})
		if err != nil {
			return ""
		}
		defer c.Close()
		return c.ConnectionState().NegotiatedProtocol
	}
	for _, proto := range []string{"acme-tls/1", "h2", "http/1.1"} {
		if chosen(proto) == proto {
			list = append(list, proto)
		}
	}
	slices.SortFunc(list, func(a, b string) int { // the server's order decides
		if chosen(b, a) == a {
			return -1
		}
		return 1
	})
	return list
}

// FuzzDecodeKeys: what is taken of a predecessor's keys is passed on as it came, and no key was born in the future.
func FuzzDecodeKeys(f *testing.F) {
	ts := &tickets{keys: []ticketKey{{born: time.UnixMilli(1)}, {secret: [32]byte{1}, born: time.UnixMilli(1764276412000)}}}
	f.Add(ts.message().secret)
	f.Add([]byte("key=00.1&later=x&key"))
	f.Fuzz(func(t *testing.T, query []byte) {
		keys := decodeKeys(query)
		for _, k := range keys {
			if time.Until(k.born) > 0 {
				t.Errorf("born %s", k.born)
			}
		}
		again := decodeKeys((&tickets{keys: keys}).message().secret)
		same := func(a, b ticketKey) bool { return a.secret == b.secret && a.born.UnixMilli() == b.born.UnixMilli() }
		if !slices.EqualFunc(keys, again, same) {
			t.Errorf("%v was passed on as %v", keys, again)
		}
	})
}
