package tuf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// build is an executable of some version: all have most of their bytes in common.
func build(version string) string {
	b := make([]byte, 64<<10)
	io.ReadFull(rand.NewChaCha8([32]byte{1}), b)
	return string(b[:30000]) + version + string(b[30000:])
}

// deltaVersions names the versions that the deltas of a release start from.
func (f *feed) deltaVersions(r release.Release) (list []string) {
	f.t.Helper()
	all, err := f.repo.Indexes()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, d := range r.Artifact.Deltas {
		name := "?"
		for _, ix := range all {
			for _, o := range ix.Releases {
				if o.Artifact.SHA256 == d.From {
					name = o.Version.String()
				}
			}
		}
		list = append(list, name)
	}
	return list
}

// add publishes content with the request's other fields, and returns what was said meanwhile.
func (f *feed) add(version, content string, q PublishRequest) (release.Release, []Progress) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "hello")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		f.t.Fatal(err)
	}
	var said []Progress
	q.Version, q.Files = release.MustParseVersion(version), []File{{Path: path, Platform: linux}}
	q.Progress = func(p Progress) { said = append(said, p) }
	rs, err := f.repo.Publish(context.Background(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	return rs[0], said
}

func notes(said []Progress) (list []string) {
	for _, p := range said {
		if p.Note != "" {
			list = append(list, p.File+": "+p.Note)
		}
	}
	return list
}

func TestBases(t *testing.T) {
	var ix release.Index
	for _, v := range []string{"1.3.9", "1.4.0", "1.4.1", "1.4.2", "1.5.0-rc.1", "1.5.0", "1.5.1", "1.5.2", "1.5.3", "1.5.4", "1.6.0"} {
		ix.Put(release.Release{Version: release.MustParseVersion(v)})
	}
	for _, tc := range []struct {
		v    string
		n    int
		want string
	}{
		{"1.5.4", 0, "1.5.3 1.5.2 1.5.1 1.5.0 1.4.2"},
		{"1.5.4", 2, "1.5.3 1.5.2 1.4.2"},
		{"1.5.5", 1, "1.5.4 1.4.2"},
		{"1.5.4", -1, ""},
		{"1.7.0", 2, "1.6.0 1.5.4"},
		{"1.5.0", 2, "1.5.0-rc.1 1.4.2"},
		{"1.4.1", 9, "1.4.0 1.3.9"},
		{"1.0.0", 4, ""},
	} {
		var got []string
		for _, r := range bases(&ix, release.MustParseVersion(tc.v), tc.n) {
			got = append(got, r.Version.String())
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s, %d: %v, want %s", tc.v, tc.n, got, tc.want)
		}
	}
	ix = release.Index{}
	for i := range 40 {
		ix.Put(release.Release{Version: release.MustParseVersion(fmt.Sprintf("1.%d.0", i))})
	}
	if got := bases(&ix, release.MustParseVersion("1.40.0"), 1000); len(got) >= release.MaxDeltas {
		t.Errorf("%d bases", len(got))
	}
}

func TestPublishMakesDeltas(t *testing.T) {
	f := newFeed(t)
	f.add("1.0.0", build("1.0.0"), PublishRequest{})
	f.add("1.1.0", build("1.1.0"), PublishRequest{})
	r, said := f.add("1.2.0", build("1.2.0"), PublishRequest{})
	if got := f.deltaVersions(r); !slices.Equal(got, []string{"1.1.0", "1.0.0"}) {
		t.Fatalf("deltas from %v", got)
	}
	if want := (Progress{Stage: StageDelta, File: "hello-linux-amd64 from 1.1.0", Done: r.Artifact.Length, Total: r.Artifact.Length}); !slices.Contains(said, want) {
		t.Errorf("said %v", said)
	}
	// As a host would: fetched by the client, applied to the executable that it has.
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.2.0")
	ix, err := c.Index(t.Context(), "beta", linux)
	if err != nil {
		t.Fatal(err)
	}
	newest, _ := ix.Latest()
	for i, from := range []string{"1.1.0", "1.0.0"} {
		d, old := newest.Artifact.Deltas[i], build(from)
		var file, got bytes.Buffer
		err := c.Fetch(t.Context(), d.Payload, &file)
		if err == nil {
			err = release.Decode(&got, &file, newest.Artifact.DecodingFrom(d, strings.NewReader(old), int64(len(old))))
		}
		if err != nil || got.String() != build("1.2.0") || d.Length > newest.Artifact.Full.Length/10 {
			t.Errorf("from %s: delta of %d bytes: %v", from, d.Length, err)
		}
	}
}

func TestDeltasThatAreNotMade(t *testing.T) {
	other := string(bytes.Repeat([]byte("nothing in common "), 3000))
	for name, tc := range map[string]struct {
		content string
		q       PublishRequest
		change  func(payload string) error
		note    string
	}{
		"none wanted":  {build("1.1.0"), PublishRequest{Deltas: -1}, nil, ""},
		"same bytes":   {build("1.0.0"), PublishRequest{}, nil, ""},
		"too large":    {other[:20000] + build("")[1000:1100], PublishRequest{}, nil, "not below half"},
		"base pruned":  {build("1.1.0"), PublishRequest{}, os.Remove, "not in this feed any more"},
		"base changed": {build("1.1.0"), PublishRequest{}, func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) }, "sha256 mismatch"},
		"base grown":   {build("1.1.0"), PublishRequest{}, grow, "too long"},
		"an older one": {build("0.9.0"), PublishRequest{Force: true}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			first, _ := f.add("1.0.0", build("1.0.0"), PublishRequest{})
			if tc.change != nil {
				if err := tc.change(f.repo.targetPath(first.Artifact.Full.Path, first.Artifact.Full.SHA256)); err != nil {
					t.Fatal(err)
				}
			}
			version := "1.1.0"
			if tc.q.Force {
				version = "0.9.0"
			}
			r, said := f.add(version, tc.content, tc.q)
			if got := f.deltaVersions(r); len(got) > 0 {
				t.Errorf("deltas from %v", got)
			}
			if got := strings.Join(notes(said), "\n"); tc.note == "" && got != "" || !strings.Contains(got, tc.note) {
				t.Errorf("notes %q, want %q", got, tc.note)
			}
			if left, _ := filepath.Glob(filepath.Join(f.repo.dir, targetsDir, "*", "*.delta")); len(left) > 0 {
				t.Errorf("stored %v", left)
			}
		})
	}
}

func grow(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Close())
}

// A delta that makes anything else than it must is not signed for.
func TestDeltaIsTriedBeforeItIsSigned(t *testing.T) {
	f := newFeed(t)
	r, _ := f.add("1.0.0", build("1.0.0"), PublishRequest{})
	r2, _ := f.add("1.1.0", build("1.1.0"), PublishRequest{})
	d := r2.Artifact.Deltas[0]
	body, err := os.ReadFile(f.repo.targetPath(d.Path, d.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	j := &deltaJob{to: r2.Artifact, from: r}
	old, new := []byte(build("1.0.0")), []byte(build("1.1.0"))
	if err := j.try(d, old, new, body); err != nil {
		t.Errorf("the good one: %v", err)
	}
	for name, err := range map[string]error{
		"broken":     j.try(d, old, new, body[:len(body)-1]),
		"wrong base": j.try(d, new, new, body),
		"other":      j.try(d, old, old, body),
		"longer":     j.try(d, old, append(bytes.Clone(new), 'x'), body),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDeltasAreMadeOnce(t *testing.T) {
	f := newFeed(t)
	f.add("1.0.0", build("1.0.0"), PublishRequest{})
	f.add("1.0.0", build("1.0.0"), PublishRequest{Channel: "stable"})
	r, _ := f.add("1.1.0", build("1.1.0"), PublishRequest{})
	path := f.repo.targetPath(r.Artifact.Deltas[0].Path, r.Artifact.Deltas[0].SHA256)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := f.add("1.1.0", build("1.1.0"), PublishRequest{Channel: "stable"})
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || !slices.Equal(again.Artifact.Deltas, r.Artifact.Deltas) {
		t.Errorf("written again (%v); %v, %v", err, again.Artifact.Deltas, r.Artifact.Deltas)
	}
	// One whose file is damaged is made again.
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.add("1.1.0", build("1.1.0"), PublishRequest{Channel: "stable", Force: true})
	if !f.repo.has(r.Artifact.Deltas[0].Payload) {
		t.Error("it was left damaged")
	}
}

func TestSideBySide(t *testing.T) {
	var began [100]bool
	bad := errors.New("bad")
	err := sideBySide(1, 100, func(i int) error {
		began[i] = true
		if i == 3 {
			return bad
		}
		return nil
	})
	if err != bad || !began[3] || began[50] {
		t.Errorf("%v, %v", err, began)
	}
	if err := sideBySide(4, 0, func(int) error { return bad }); err != nil {
		t.Error(err)
	}
}

// A release that goes to another channel gets deltas from what that channel's hosts have.
func TestPromoteAddsDeltas(t *testing.T) {
	f := newFeed(t)
	f.add("1.0.0", build("1.0.0"), PublishRequest{})
	if _, err := f.repo.Promote(t.Context(), PromoteRequest{Version: release.MustParseVersion("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"1.1.0", "1.2.0", "1.3.0"} {
		f.add(v, build(v), PublishRequest{Deltas: 1})
	}
	newest := release.MustParseVersion("1.3.0")
	if _, err := f.repo.Promote(t.Context(), PromoteRequest{Version: newest, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(f.repo.dir, targetsDir, "1.3.0", "*.delta")); len(left) != 1 {
		t.Errorf("a dry run made %v", left)
	}
	if _, err := f.repo.Promote(t.Context(), PromoteRequest{Version: newest}); err != nil {
		t.Fatal(err)
	}
	c := f.client(t.TempDir())
	wantNewest(t, c, "stable", "1.3.0")
	ix, err := c.Index(t.Context(), "stable", linux)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := ix.Latest()
	if got := f.deltaVersions(r); !slices.Equal(got, []string{"1.0.0", "1.2.0"}) {
		t.Errorf("deltas from %v", got)
	}
}
