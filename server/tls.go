package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TLS says with which certificate a listener answers, and which clients it lets in. The zero value is none.
//
// The files are PEM. When their contents change, handshakes from then on get the new ones, at most a second later; if those do not fit
// together (half of the pair was exchanged, a file is half written or gone) the last good ones stay, and the log says why. A
// successor reads them anew. Sessions resume across all that, but those of clients that the new ClientCA does not vouch for.
type TLS struct {
	Cert string // file of the certificate, its chain below it
	Key  string // file of its private key; never a setting by value
	// ClientCA is a file of authorities: a client must have a certificate that one of them has signed (mutual TLS), and the
	// Handler finds it in Request.TLS. Default: clients need none.
	ClientCA string
	// Config is everything else, such as GetCertificate in place of the files, or MinVersion. It is copied. Ticket keys are passed to
	// successors and changed every 24 hours, unless Config looks after them by itself. Default: crypto/tls's own (TLS 1.2 and up).
	Config *tls.Config
}

// on reports whether t says anything.
func (t TLS) on() bool { return t.Cert != "" || t.Key != "" || t.ClientCA != "" || t.Config != nil }

// check says what is wrong with t before a file is read.
func (t TLS) check() error {
	switch {
	case !t.on():
		return nil
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("TLS: a certificate and its key go together")
	case t.Cert == "" && (t.Config == nil || len(t.Config.Certificates) == 0 && t.Config.GetCertificate == nil && t.Config.GetConfigForClient == nil):
		return errors.New("TLS: no certificate")
	}
	return nil
}

// lookAgain is the least time between two looks at the files. They are read and not only looked at: what was exchanged within one tick of the
// file system's clock, or by a link to a directory, has no other mark.
const lookAgain = time.Second

// certificates are what the files of one TLS held when they last fitted together.
type certificates struct {
	t       TLS
	web     bool // for HTTP, and not a protocol of the program's own
	log     *slog.Logger
	current atomic.Pointer[tls.Config]

	mu     sync.Mutex // held by who looks
	looked time.Time
	seen   [sha256.Size]byte // of the contents at the last look, good or not
}

// openTLS reads the files for the first time.
func openTLS(t TLS, web bool, log *slog.Logger) (*certificates, error) {
	c := &certificates{t: t, web: web, log: log}
	return c, c.look(time.Now())
}

// config is what one listener has: each handshake asks it for the present one, whose sessions are encrypted by its ticket keys.
func (c *certificates) config() *tls.Config {
	cfg := c.current.Load().Clone()
	own := cfg.GetConfigForClient
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if own != nil {
			if theirs, err := own(hello); theirs != nil || err != nil {
				return theirs, err
			}
		}
		c.refresh(time.Now())
		return c.current.Load(), nil
	}
	return cfg
}

// refresh looks at the files if it is time. It never fails, and of many handshakes only one waits for the disk.
func (c *certificates) refresh(now time.Time) {
	if c.t.Cert == "" && c.t.ClientCA == "" || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if now.Sub(c.looked) < lookAgain {
		return
	}
	if err := c.look(now); err != nil {
		c.log.Error("keep the certificate: the new files do not fit", "cert", c.t.Cert, "err", err)
	}
}

// look reads the files, and takes them if they are others than at the last look and fit. The caller holds mu, or is alone.
func (c *certificates) look(now time.Time) error {
	c.looked = now
	pem, err := c.t.read()
	sum := pem.sum(err)
	if sum == c.seen {
		return nil
	}
	c.seen = sum
	if err != nil {
		return err
	}
	cfg, err := c.t.config(pem)
	if err != nil {
		return err
	}
	if c.web {
		cfg.NextProtos = append(slices.Clip(cfg.NextProtos), "h2", "http/1.1")
	}
	if err := c.worse(cfg, now); err != nil {
		return err
	}
	if old := c.current.Swap(cfg); c.t.Cert != "" {
		leaf := cfg.Certificates[0].Leaf
		c.log.Info("certificate", "cert", c.t.Cert, "subject", leaf.Subject.String(), "expires", leaf.NotAfter, "reloaded", old != nil)
	}
	return nil
}

// worse refuses, in the place of a certificate that is valid, one that is not. At the start there is no choice: clients
// that do not look are better served than none.
func (c *certificates) worse(cfg *tls.Config, now time.Time) error {
	old := c.current.Load()
	if old == nil || c.t.Cert == "" {
		return nil
	}
	if now.After(old.Certificates[0].Leaf.NotAfter) {
		return nil
	}
	switch leaf := cfg.Certificates[0].Leaf; {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate %s: expired at %s", c.t.Cert, leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate %s: not valid before %s", c.t.Cert, leaf.NotBefore)
	}
	return nil
}

// contents are those of the files.
type contents struct{ cert, key, clientCA []byte }

func (t TLS) read() (c contents, err error) {
	for _, f := range []struct {
		path string
		to   *[]byte
	}{{t.Cert, &c.cert}, {t.Key, &c.key}, {t.ClientCA, &c.clientCA}} {
		if f.path == "" {
			continue
		}
		if *f.to, err = os.ReadFile(f.path); err != nil {
			return c, err
		}
	}
	return c, nil
}

// sum tells contents apart, and the reasons why there are none.
func (c contents) sum(err error) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range [][]byte{c.cert, c.key, c.clientCA, fmt.Append(nil, err)} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// config puts the contents into a copy of Config.
func (t TLS) config(c contents) (*tls.Config, error) {
	cfg := t.Config.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if t.Cert != "" {
		pair, err := tls.X509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", t.Cert, t.Key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if t.ClientCA != "" {
		cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !cfg.ClientCAs.AppendCertsFromPEM(c.clientCA) {
			return nil, fmt.Errorf("authorities of clients: no certificate in %s", t.ClientCA)
		}
	}
	return cfg, nil
}
