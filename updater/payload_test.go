package updater

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// Formats of these tests. Staging children are this executable too, and so know them.
func init() {
	release.RegisterFormat("test-upper", func(w io.Writer, r io.Reader, _ release.Decoding) error {
		b, err := io.ReadAll(r)
		if err == nil {
			_, err = w.Write(bytes.ToUpper(b))
		}
		return err
	})
	release.RegisterFormat("test-append", func(w io.Writer, r io.Reader, d release.Decoding) error {
		if _, err := io.Copy(w, io.NewSectionReader(d.Base, 0, d.BaseLength)); err != nil {
			return err
		}
		_, err := io.Copy(w, r)
		return err
	})
	release.RegisterFormat("test-bomb", func(w io.Writer, _ io.Reader, _ release.Decoding) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	release.RegisterFormat("test-broken", func(io.Writer, io.Reader, release.Decoding) error { return io.ErrUnexpectedEOF })
	release.RegisterFormat("test-panic", func(io.Writer, io.Reader, release.Decoding) error { panic("no") })
	release.RegisterFormat("test-8gib", func(w io.Writer, _ io.Reader, _ release.Decoding) error {
		_, err := w.Write(make([]byte, 8<<30)[:1])
		return err
	})
}

func digestOf(b []byte) release.Digest {
	d, _, _ := release.DigestReader(bytes.NewReader(b))
	return d
}

// encoded offers content by a payload of a format beside, or instead of, the raw one.
func (s *fakeSource) encoded(f release.Format, file []byte) release.Payload {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := digestOf(file)
	s.payload[d] = file
	return release.Payload{Path: string(f), Length: int64(len(file)), SHA256: d, Format: f}
}

func TestWays(t *testing.T) {
	here, other := digestOf([]byte("here")), digestOf([]byte("other"))
	delta := func(from release.Digest, length int64, f release.Format) release.Delta {
		return release.Delta{From: from, Payload: release.Payload{Length: length, Format: f}}
	}
	for name, tc := range map[string]struct {
		full   release.Format
		deltas []release.Delta
		want   []int64
	}{
		"raw":              {release.Raw, nil, []int64{100}},
		"smallest first":   {release.Raw, []release.Delta{delta(here, 9, "test-append"), delta(here, 8, "test-broken")}, []int64{8, 100}},
		"from another":     {release.Raw, []release.Delta{delta(other, 9, "test-append")}, []int64{100}},
		"unknown delta":    {release.Raw, []release.Delta{delta(here, 9, "future")}, []int64{100}},
		"larger than full": {release.Raw, []release.Delta{delta(here, 100, "test-append")}, []int64{100}},
		"unknown full":     {"future", []release.Delta{delta(here, 9, "test-append")}, []int64{9}},
		"nothing known":    {"future", []release.Delta{delta(here, 9, "future")}, nil},
	} {
		c := Candidate{Length: 500, Full: release.Payload{Length: 100, Format: tc.full}, Deltas: tc.deltas}
		var got []int64
		for _, w := range c.ways(here) {
			got = append(got, w.Length)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// deltaBench has an update on offer that a delta makes from the installed executable.
func deltaBench(t *testing.T, f release.Format) (b *bench, log *bytes.Buffer, made []byte) {
	t.Helper()
	log = &bytes.Buffer{}
	b = newBench(t, nil)
	b.log = log
	b.open(func(o *Options) { o.Module = "-" })
	made = append([]byte(oldBytes), "echo and more\n"...)
	c := b.source.offer("1.1.0", made)
	d := release.Delta{From: digestOf([]byte(oldBytes)), Payload: b.source.encoded(f, []byte("echo and more\n"))}
	c.Deltas = []release.Delta{d}
	b.source.offers = []Candidate{c}
	return b, log, made
}

// TestDelta goes as far as the proof, which refuses a script.
func TestDelta(t *testing.T) {
	b, log, _ := deltaBench(t, "test-append")
	var seen []Event
	_, err := b.Upgrade(t.Context(), Request{Events: func(e Event) { seen = append(seen, e) }})
	wantError(t, err, Verification, "not-executable")
	if s := log.String(); !strings.Contains(s, "msg=staged version=1.1.0 payload=delta bytes=14 full=41") || b.source.fetched != 1 {
		t.Errorf("%d payloads fetched; log:\n%s", b.source.fetched, s)
	}
	if !slices.ContainsFunc(seen, func(e Event) bool {
		return e == Event{Phase: PhaseFetch, Attempt: e.Attempt, Version: "1.1.0", Total: 14, Message: "delta"}
	}) {
		t.Errorf("events %v", seen)
	}
}

// Whatever is wrong with a delta: the full payload is taken in the same attempt, and the build is not blamed.
func TestDeltaFallsBack(t *testing.T) {
	for name, tc := range map[string]struct {
		format release.Format
		change func(*bench, *release.Delta)
		reason string
	}{
		"broken": {"test-broken", nil, "bad-delta"},
		"other bytes": {"test-append", func(b *bench, d *release.Delta) {
			d.Payload = b.source.encoded("test-append", []byte("echo AND more\n"))
		}, "digest-mismatch"},
		"bomb":            {"test-bomb", nil, "too-long"},
		"panics":          {"test-panic", nil, "stage-failed"},
		"asks for 8 GiB":  {"test-8gib", nil, "stage-failed"},
		"not as signed":   {"test-append", func(b *bench, d *release.Delta) { b.source.payload[d.SHA256] = []byte("echo but more\n") }, "digest-mismatch"},
		"cut off":         {"test-append", func(b *bench, d *release.Delta) { b.source.payload[d.SHA256] = []byte("echo") }, "truncated"},
		"not there":       {"test-append", func(b *bench, d *release.Delta) { delete(b.source.payload, d.SHA256) }, "truncated"},
		"longer":          {"test-append", func(b *bench, d *release.Delta) { b.source.payload[d.SHA256] = []byte("echo and more and more\n") }, "too-long"},
		"base is another": {"test-append", func(b *bench, d *release.Delta) { b.step = func(p string) { b.change(p) } }, "bad-delta"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "asks for 8 GiB" && !boundsMemory {
				t.Skip("no bound on a child's memory here")
			}
			b, log, _ := deltaBench(t, tc.format)
			if tc.change != nil {
				tc.change(b, &b.source.offers[0].Deltas[0])
			}
			var seen []Event
			_, err := b.Upgrade(t.Context(), Request{Events: func(e Event) { seen = append(seen, e) }})
			wantError(t, err, Verification, "not-executable") // of the full payload, by the proof
			if s := log.String(); !strings.Contains(s, `msg="delta not used, full download instead" version=1.1.0 reason=`+tc.reason+" ") || !strings.Contains(s, "msg=staged version=1.1.0 payload=full bytes=41") {
				t.Errorf("log:\n%s", s)
			}
			said := slices.ContainsFunc(seen, func(e Event) bool { return strings.Contains(e.Message, "the delta cannot be used ("+tc.reason+")") })
			if !said || len(b.status().Quarantine) > 0 {
				t.Errorf("quarantine %v, events %v", b.status().Quarantine, seen)
			}
			b.wantTidy()
		})
	}
}

// change puts other bytes in the place of the installed executable in the middle of an attempt.
func (b *bench) change(point string) {
	if point == "fetched" {
		os.WriteFile(b.path, []byte("#!/bin/sh\necho somebody else's\n"), 0o755)
	}
}

func TestFullPayloadRefused(t *testing.T) {
	content := []byte("AN EXECUTABLE")
	for name, tc := range map[string]struct {
		format release.Format
		class  Class
		reason string
	}{
		"good":           {"test-upper", Verification, "not-executable"}, // by the proof
		"broken":         {"test-broken", Verification, "bad-payload"},
		"bomb":           {"test-bomb", Verification, "too-long"},
		"other bytes":    {release.Raw, Verification, "digest-mismatch"},
		"unknown format": {"future", Policy, "unknown-format"},
	} {
		b := newBench(t, nil)
		c := b.source.offer("1.1.0", content)
		c.Full = b.source.encoded(tc.format, bytes.ToLower(content))
		b.source.offers = []Candidate{c}
		_, err := b.Upgrade(t.Context(), Request{})
		t.Run(name, func(t *testing.T) { wantError(t, err, tc.class, tc.reason) })
		if left, _ := filepath.Glob(filepath.Join(b.dir, "versions", "1.1.0-*", "*")); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
		b.wantTidy()
	}
}

func TestStageKeepsNoBase(t *testing.T) {
	b, _, made := deltaBench(t, "test-append")
	b.lock()
	c := b.source.offers[0]
	w := way{c.Deltas[0].Payload, c.Deltas[0].From}
	file, err := b.fetch(t.Context(), Request{}, c, w)
	if err != nil {
		t.Fatal(err)
	}
	target := b.versionFile(build{"1.1.0", c.Digest})
	if _, err := b.stage(t.Context(), c, w, file, target); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(target)
	left, derr := os.ReadDir(filepath.Dir(target))
	if err := errors.Join(err, derr); err != nil || !bytes.Equal(got, made) || len(left) != 1 {
		t.Errorf("%d bytes and %v, %v", len(got), left, err)
	}
}
