package updater

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-go/moult/release"
)

func TestFetchRefuses(t *testing.T) {
	signed := bytes.Repeat([]byte("signed "), 1000)
	tests := []struct {
		name   string
		sent   []byte
		class  Class
		reason string
	}{
		{"nothing", nil, Verification, "truncated"},
		{"truncated", signed[:len(signed)-1], Verification, "truncated"},
		{"too long", append(bytes.Clone(signed), 'x'), Verification, "too-long"},
		{"endless", bytes.Repeat(signed, 100), Verification, "too-long"},
		{"other bytes", bytes.ToUpper(signed), Verification, "digest-mismatch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, nil)
			c := b.source.offer("1.1.0", signed)
			b.source.payload[c.Digest] = test.sent
			// A link planted where the download goes must not be followed.
			victim := filepath.Join(t.TempDir(), "victim")
			if err := os.Symlink(victim, filepath.Join(b.dir, "download", c.Digest.Short()+".part")); err != nil {
				t.Fatal(err)
			}
			_, err := b.Upgrade(t.Context(), Request{})
			wantError(t, err, test.class, test.reason)
			if _, err := os.Lstat(victim); !errors.Is(err, os.ErrNotExist) {
				t.Error("a planted link was followed")
			}
			if s := b.status(); s.Last.Reason != test.reason || len(s.Quarantine) != 0 {
				t.Errorf("status %+v", s)
			}
			b.wantTidy()
		})
	}
}

func TestUnreachableSourceWritesNothing(t *testing.T) {
	src := &fakeSource{}
	b := newBench(t, func(o *Options) { o.Source = brokenSource{src} })
	c := src.offer("1.1.0", []byte("bytes"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Temporary, "network")
	if h, err := b.History(); err != nil || len(h) != 0 || b.status().Last != nil {
		t.Errorf("history %v, %v", h, err)
	}
	if b.state.failing(c.Digest) == nil {
		t.Error("tried again without a pause")
	}
	b.wantTidy()
}

type brokenSource struct{ *fakeSource }

func (brokenSource) Fetch(_ context.Context, _ Query, _ release.Payload, dst io.Writer) error {
	io.WriteString(dst, "by")
	return io.ErrUnexpectedEOF
}

func TestDigestIsFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	d, _, _ := release.DigestFile(file)
	if !digestIs(file, d) || digestIs(link, d) || digestIs(file, release.Digest{}) {
		t.Error("digestIs")
	}
}
