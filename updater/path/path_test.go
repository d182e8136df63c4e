package path_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/path"
)

var payload = bytes.Repeat([]byte("an executable "), 5000)

// drop is a directory with a signed file in it.
type drop struct {
	t         *testing.T
	file      string
	pub, priv string
	updater.Source
}

func newDrop(t *testing.T) *drop {
	t.Helper()
	pub, priv, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hello")
	d := &drop{t, file, pub, priv, path.New(file, pub)}
	d.hurry(time.Minute)
	d.write(payload)
	d.sign(comment("hello", "1.2.3", release.Host(), payload), payload)
	return d
}

func comment(app, version string, p release.Platform, b []byte) release.TrustedComment {
	digest, _, _ := release.DigestReader(bytes.NewReader(b))
	return release.TrustedComment{App: app, Version: release.MustParseVersion(version), Platform: p, SHA256: digest}
}

func (d *drop) write(b []byte) {
	d.t.Helper()
	if err := os.WriteFile(d.file, b, 0o755); err != nil {
		d.t.Fatal(err)
	}
}

// later waits until the clock of the file system, which has ticks, is past what was written.
func (d *drop) later() {
	d.t.Helper()
	probe := filepath.Join(d.t.TempDir(), "probe")
	was, err := os.Stat(d.file + ".minisig")
	if err != nil {
		d.t.Fatal(err)
	}
	for {
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			d.t.Fatal(err)
		}
		if fi, err := os.Stat(probe); err != nil || fi.ModTime().After(was.ModTime()) {
			return
		}
	}
}

// hurry sets how long a file and a signature that do not fit are two of which one is still to come.
func (d *drop) hurry(patience time.Duration) {
	path.Hurry(d.Source, 20*time.Millisecond, 20*time.Millisecond, patience)
}

func (d *drop) sign(c release.TrustedComment, b []byte) {
	d.t.Helper()
	if err := os.WriteFile(d.file+".minisig", d.signature(c, b), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drop) signature(c release.TrustedComment, b []byte) []byte {
	d.t.Helper()
	b, err := release.SignMinisign(d.priv, "", bytes.NewReader(b), c)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

var query = updater.Query{App: "hello", Platform: release.Host(), Channel: "stable"}

func (d *drop) check() (updater.Candidate, error) {
	d.t.Helper()
	got, err := d.Check(d.t.Context(), query)
	if len(got) == 0 {
		return updater.Candidate{}, err
	}
	return got[0], err
}

func wantError(t *testing.T, err error, c updater.Class, reason string) {
	t.Helper()
	var e *updater.Error
	if !errors.As(err, &e) || e.Class != c || e.Reason != reason {
		t.Fatalf("error %#v, want class %s, reason %s", err, c, reason)
	}
}

func TestOffersWhatTheSignatureNames(t *testing.T) {
	d := newDrop(t)
	c, err := d.check()
	if err != nil {
		t.Fatal(err)
	}
	if key := d.Source.(updater.KeySource).Key(); len(key) != 16 {
		t.Errorf("key %q", key)
	}
	if c.Version.String() != "1.2.3" || c.Platform != release.Host() || c.Length != int64(len(payload)) || c.Minisign == nil {
		t.Errorf("candidate %+v", c)
	}
	var got bytes.Buffer
	if err := d.Fetch(t.Context(), query, c.Full, &got); err != nil || !bytes.Equal(got.Bytes(), payload) {
		t.Errorf("fetched %d bytes, %v", got.Len(), err)
	}
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(d *drop)
		reason string
		waits  bool // for the other one of the pair
	}{
		{"no signature", func(d *drop) { os.Remove(d.file + ".minisig") }, "unsigned", true},
		{"a signature just begun", func(d *drop) { os.Truncate(d.file+".minisig", 0) }, "unsigned", true},
		{"a new file under an old signature", func(d *drop) { d.write(bytes.ToUpper(payload)) }, "digest-mismatch", true},
		{"an old file under a new signature", func(d *drop) {
			d.sign(comment("hello", "1.2.4", release.Host(), bytes.ToUpper(payload)), bytes.ToUpper(payload))
		},
			"digest-mismatch", true},
		{"half of it", func(d *drop) { d.write(payload[:len(payload)/2]) }, "digest-mismatch", true},
		{"an empty file that is signed", func(d *drop) { d.write(nil); d.sign(comment("hello", "1.2.3", release.Host(), nil), nil) },
			"digest-mismatch", true},
		{"no key", func(d *drop) { d.Source = path.New(d.file, "") }, "unsigned", false},
		{"garbage", func(d *drop) { os.WriteFile(d.file+".minisig", []byte("x"), 0o600) }, "bad-signature", false},
		{"endless signature", func(d *drop) { os.WriteFile(d.file+".minisig", make([]byte, 1<<20), 0o600) }, "bad-signature", false},
		{"another key", func(d *drop) { d.Source = path.New(d.file, newDrop(d.t).pub) }, "bad-signature", false},
		{"another program", func(d *drop) { d.sign(comment("other", "1.2.3", release.Host(), payload), payload) }, "wrong-app", false},
		{"a changed comment", func(d *drop) {
			b, _ := os.ReadFile(d.file + ".minisig")
			os.WriteFile(d.file+".minisig", bytes.Replace(b, []byte("1.2.3"), []byte("9.2.3"), 1), 0o600)
		}, "bad-signature", false},
		{"a directory", func(d *drop) { os.Remove(d.file); os.Mkdir(d.file, 0o700) }, "not-executable", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDrop(t)
			test.change(d)
			if d.hurry(0); test.waits {
				d.hurry(time.Minute)
				_, err := d.check()
				wantError(t, err, updater.Temporary, "still-changing")
				d.hurry(0)
			}
			_, err := d.check()
			wantError(t, err, updater.Verification, test.reason)
		})
	}
}

func TestOtherPlatformIsLeftToPolicy(t *testing.T) {
	d := newDrop(t)
	d.sign(comment("hello", "1.2.3", release.Platform{OS: "plan9", Arch: "arm"}, payload), payload)
	if c, err := d.check(); err != nil || c.Platform.OS != "plan9" {
		t.Errorf("candidate %+v, %v", c, err)
	}
}

func TestNothingThereIsNothingOffered(t *testing.T) {
	d := newDrop(t)
	os.Remove(d.file)
	if c, err := d.check(); err != nil || !c.Version.IsZero() {
		t.Errorf("candidate %+v, %v", c, err)
	}
}

func TestCopyUnderWayIsReadAgain(t *testing.T) {
	d := newDrop(t)
	d.write(payload[:len(payload)/2])
	_, err := d.check()
	wantError(t, err, updater.Temporary, "still-changing")

	d.write(payload)
	c, err := d.check()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := d.Fetch(t.Context(), query, c.Full, &got); err != nil || !bytes.Equal(got.Bytes(), payload) {
		t.Errorf("written to its end: %d bytes, %v", got.Len(), err)
	}
}

// TestWaitsWhileItIsWritten: without a signature that came last, a file that does not rest is not even read.
func TestWaitsWhileItIsWritten(t *testing.T) {
	d := newDrop(t)
	path.Hurry(d.Source, time.Hour, 200*time.Millisecond, time.Minute)
	d.later()
	d.write(payload)
	go func() {
		time.Sleep(50 * time.Millisecond) // within its rest
		os.Chmod(d.file, 0o700)
	}()
	_, err := d.check()
	wantError(t, err, updater.Temporary, "still-changing")
	if c, err := d.check(); err != nil || c.Length != int64(len(payload)) {
		t.Errorf("at rest: %+v, %v", c, err)
	}
}

// TestNeverFetchesAnotherFile: neither what was dropped meanwhile nor a part of it.
func TestNeverFetchesAnotherFile(t *testing.T) {
	d := newDrop(t)
	c, err := d.check()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{payload[:100], bytes.ToUpper(payload), append(bytes.Clone(payload), "more"...), nil} {
		d.write(b)
		wantError(t, d.Fetch(t.Context(), query, c.Full, &bytes.Buffer{}), updater.Temporary, "still-changing")
	}
	os.Remove(d.file)
	wantError(t, d.Fetch(t.Context(), query, c.Full, &bytes.Buffer{}), updater.Temporary, "missing")
	os.Mkdir(d.file, 0o700)
	wantError(t, d.Fetch(t.Context(), query, c.Full, &bytes.Buffer{}), updater.Verification, "not-executable")

	// It changes while it is read.
	os.Remove(d.file)
	d.write(payload)
	touch := writerFunc(func(p []byte) (int, error) { return len(p), os.WriteFile(d.file, payload, 0o755) })
	wantError(t, d.Fetch(t.Context(), query, c.Full, touch), updater.Temporary, "still-changing")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestFetchEndsWithItsContext(t *testing.T) {
	d := newDrop(t)
	c, err := d.check()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Fetch(ctx, query, c.Full, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("fetch: %v", err)
	}
}

// TestWithUpdater: what lies there unsigned or with other bytes never gets past verification.
func TestWithUpdater(t *testing.T) {
	d := newDrop(t)
	exe := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(exe, []byte("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	u, err := updater.New(updater.Options{Name: "hello", Version: "1.0.0", Source: d, InstallPath: exe})
	if err != nil {
		t.Fatal(err)
	}
	upgrade := func() error {
		_, err := u.Upgrade(t.Context(), updater.Request{Manual: true})
		return err
	}
	wantError(t, upgrade(), updater.Verification, "not-executable") // verified, and no program
	d.write(bytes.ToUpper(payload))
	wantError(t, upgrade(), updater.Temporary, "still-changing")
	d.hurry(0)
	wantError(t, upgrade(), updater.Verification, "digest-mismatch")
	os.Remove(d.file + ".minisig")
	wantError(t, upgrade(), updater.Verification, "unsigned")
	if b, _ := os.ReadFile(exe); string(b) != "old" {
		t.Error("replaced")
	}
}

// TestDropOfWhatRunsIsIgnored: no attempt, no complaint, and nothing fetched.
func TestDropOfWhatRunsIsIgnored(t *testing.T) {
	d := newDrop(t)
	exe := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(exe, payload, 0o755); err != nil {
		t.Fatal(err)
	}
	u, err := updater.New(updater.Options{Name: "hello", Version: "1.0.0", Source: d, InstallPath: exe})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := u.Upgrade(t.Context(), updater.Request{}); err != nil || out.Changed {
		t.Errorf("%+v, %v", out, err)
	}
	if s, err := u.Status(); err != nil || s.Last != nil || s.CheckReason != "" {
		t.Errorf("status %+v, %v", s, err)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "drop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	publicKey, privateKey, err := release.GenerateMinisign("")
	if err != nil {
		log.Fatal(err)
	}
	// What `moult minisign sign` does:
	build := "an executable"
	digest, _, _ := release.DigestReader(strings.NewReader(build))
	signature, err := release.SignMinisign(privateKey, "", strings.NewReader(build), release.TrustedComment{
		App: "hello", Version: release.MustParseVersion("1.2.3"), Platform: release.Platform{OS: "linux", Arch: "amd64"}, SHA256: digest,
	})
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "hello")
	os.WriteFile(file, []byte(build), 0o755)
	os.WriteFile(file+".minisig", signature, 0o644)

	offered, err := path.New(file, publicKey).Check(context.Background(), updater.Query{App: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(offered[0].Version, offered[0].Platform)
	// Output: 1.2.3 linux/amd64
}
