package tuf

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
)

// named is one of the attacks that TUF names, in its plainest form, against a host that has installed 1.0.0.
type named struct {
	lie    lie
	checks int   // the client makes, the last of which has to say
	want   error // this; nil: it goes on with 1.1.0
	after  lie   // the honest feed then; nil: as it was
	opts   func(*Client, *mirror)
	// control does the same with the check off. It reports whether that was harmful.
	control func(t *testing.T, url string) bool
}

// TestNamedAttacks has a test for each attack that TUF names (its specification, 1.5.2), with the error that stops it, and the same attack
// with that check off, which must succeed.
func TestNamedAttacks(t *testing.T) {
	s := newScene(t)
	evil, files := s.evilIndex(nil)
	offer := func(m *metadata.TargetsType) {
		m.Targets["beta/linux-amd64.json"] = target("beta/linux-amd64.json", evil)
	}
	other := newFeed(t)
	other.publish("7.0.0", "beta", "other")
	wrong, wrongFiles := s.evilIndex(func(ix *release.Index) { ix.App = "other" })
	var asked atomic.Bool
	more := resign(t, s.files["brake metadata"], s.repo.keys.Online, func(m *metadata.TargetsType) {
		m.Version, m.Targets["anything"] = 1, target("anything", []byte("evil"))
	})
	old := at("timestamp", bytesOf(s.old))
	online, targetsKey := s.repo.keys.Online[0], s.repo.keys.Targets[0]
	honest := s.rotated(4)
	installs := func(payload string) func(*testing.T, string) bool {
		return func(t *testing.T, url string) bool {
			v, got, err := trusting(url)
			t.Logf("the trusting client installs %q, %v", v, err)
			return err == nil && string(got) == payload || err == nil && payload == "" && bytes.Equal(got, s.payloads["1.0.0"])
		}
	}
	for name, a := range map[string]named{
		"arbitrary installation": {
			lie:  s.forge(forgery{targets: offer, files: files, targetsKey: s.stranger, onlineKey: s.stranger}),
			want: ErrBadSignature, control: installs("evil"),
		},
		"endless data": {
			lie: at("timestamp", endless), want: ErrOversized,
			control: func(t *testing.T, url string) bool { // without a limit it would read on
				n, err := io.Copy(io.Discard, io.LimitReader(open(t, url+"/metadata/timestamp.json"), 100*maxTimestamp))
				return err == nil && n == 100*maxTimestamp
			},
		},
		"extraneous dependencies": {
			lie: both(answer("/1.evil.json", func(w http.ResponseWriter, r *http.Request) {
				asked.Store(true)
				bytesOf(more)(w, r)
			}), s.forge(forgery{
				targets: func(m *metadata.TargetsType) {
					d := *m.Delegations
					d.Roles = append(d.Roles[:1:1], metadata.DelegatedRole{Name: "evil", KeyIDs: d.Roles[0].KeyIDs, Threshold: 1, Paths: []string{"*"}})
					m.Delegations = &d
				},
				snapshot: func(m *metadata.SnapshotType) { m.Meta["evil.json"] = described(1, more) },
			})),
			after: honest,
			control: func(t *testing.T, url string) bool { // who follows every delegation takes it
				if asked.Load() {
					t.Error("the client asked for it")
				}
				x, err := NewConformance(ConformanceOptions{MetadataURL: url + "/metadata", MetadataDir: t.TempDir(), Root: s.root})
				if err != nil {
					t.Fatal(err)
				}
				defer x.c.Close()
				if err := x.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, err = x.Lookup(t.Context(), "anything")
				return err == nil && asked.Load()
			},
		},
		"fast-forward": {
			lie: s.forge(forgery{version: math.MaxInt64 - 1}), after: honest,
			control: func(t *testing.T, url string) bool { // without another key, nothing honest is new enough ever again
				c, err := NewClient(url, s.root, t.TempDir(), ClientOptions{App: "hello"})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				c.mirrors.bases[0], err = parseURL(s.url)
				for range maxBehind + 1 {
					err = c.Refresh(t.Context())
				}
				return errors.Is(err, ErrRollback)
			},
		},
		"indefinite freeze": {
			lie: old, want: ErrExpired, opts: func(c *Client, _ *mirror) { c.now = later(timestampLife + time.Hour) },
			control: installs(""),
		},
		"malicious mirror": {
			lie: serving(other.repo.dir), want: ErrBadSignature, control: installs("other"),
		},
		"mix and match": {
			lie: at("snapshot", bytesOf(s.reading("metadata/2.snapshot.json"))), want: ErrDigestMismatch, control: installs(""),
		},
		"rollback": {
			lie: old, checks: maxBehind + 1, want: ErrRollback,
			opts: func(c *Client, m *mirror) {
				m.lie.Store(new(lie))
				mustInstall(t, c, "1.1.0")
			},
			control: installs(""),
		},
		"slow retrieval": {
			lie: at("timestamp", drip), want: ErrUnreachable, opts: func(c *Client, _ *mirror) { c.web = web(t, impatience) },
			control: func(t *testing.T, url string) bool { // without a limit it would wait on
				body := open(t, url+"/metadata/timestamp.json")
				io.ReadFull(body, make([]byte, 1))
				more := make(chan struct{})
				go func() {
					io.ReadAll(body)
					close(more)
				}()
				select {
				case <-more:
					return false
				case <-time.After(4 * impatience):
					return true
				}
			},
		},
		"key compromise": {
			lie:  s.forge(forgery{targets: offer, files: files, targetsKey: online}),
			want: ErrBadSignature, after: honest,
			control: func(t *testing.T, _ string) bool { // with both keys stolen nothing stops it but a new root
				m := s.mirror(t)
				both := s.forge(forgery{targets: offer, files: files, targetsKey: targetsKey})
				m.lie.Store(&both)
				_, payload, err := install(attack{}.client(t, s, m, t.TempDir()))
				return err == nil && string(payload) == "evil"
			},
		},
		"wrong software": {
			lie: s.forge(forgery{files: wrongFiles, targets: func(m *metadata.TargetsType) {
				m.Targets["beta/linux-amd64.json"] = target("beta/linux-amd64.json", wrong)
			}}),
			want: ErrMalformed, after: honest, control: installs("evil"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.mirror(t)
			c := attack{}.client(t, s, m, t.TempDir())
			m.lie.Store(&old)
			mustInstall(t, c, "1.0.0")
			if a.opts != nil {
				a.opts(c, m)
			}
			m.lie.Store(&a.lie)
			v, _, err := install(c)
			for range a.checks - 1 {
				if err != nil || v != "1.1.0" {
					t.Fatalf("before the last check: %q, %v", v, err)
				}
				v, _, err = install(c)
			}
			if !errors.Is(err, a.want) || a.want == nil && v != "1.1.0" {
				t.Errorf("the client %q, %v; want %v", v, err, a.want)
			}
			if !a.control(t, m.url) {
				t.Error("with the check off it does no harm: does it attack?")
			}
			m.lie.Store(&a.after)
			c.now, c.web = clock, web(t, 20*time.Second)
			mustInstall(t, c, "1.1.0")
		})
	}
}

const impatience = 250 * time.Millisecond

func web(t *testing.T, timeout time.Duration) *transfer.Client {
	t.Helper()
	c, err := transfer.New(transfer.Options{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func mustInstall(t *testing.T, c *Client, want string) {
	t.Helper()
	if v, _, err := install(c); err != nil || v != want {
		t.Fatalf("the client installs %q, %v; want %s", v, err, want)
	}
}

// open is a request without limits.
func open(t *testing.T, url string) io.Reader {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res.Body
}
