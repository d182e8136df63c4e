package tuf

import (
	"errors"
	"net/http"
	"os"
	"testing"
)

// The disk goes away while a file is on its way, so that the write after it fails. What go-tuf must keep is an error then, named as
// one of the disk; what a check can do without is none. With the disk back, the next check works, by the embedded root alone.
func TestDiskFailsAtEachWrite(t *testing.T) {
	s := newScene(t)
	rotated := s.rotated(4)
	for kind, want := range map[string]error{
		"next root": ErrCache, "timestamp": ErrCache, "snapshot": ErrCache, "targets": ErrCache,
		"brake metadata": nil, "brake": nil, "index": nil, "payload": nil,
	} {
		t.Run(kind, func(t *testing.T) {
			m := s.mirror(t)
			c := attack{}.client(t, s, m, t.TempDir())
			dir := c.cache.dir
			var gone lie = func(w http.ResponseWriter, r *http.Request) bool {
				if fileKinds[kind].MatchString(r.URL.Path) {
					if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
						t.Error(err)
					}
				}
				return rotated(w, r)
			}
			m.lie.Store(&gone)
			for range 2 {
				v, _, err := install(c)
				if want != nil && !errors.Is(err, want) || want == nil && v != "1.1.0" && !errors.Is(err, ErrCache) {
					t.Errorf("%q, %v; want %v", v, err, want)
				}
			}
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			m.lie.Store(&rotated)
			for _, c := range []*Client{c, attack{}.client(t, s, m, t.TempDir())} {
				if v, _, err := install(c); err != nil || v != "1.1.0" {
					t.Errorf("with the disk back: %q, %v", v, err)
				}
			}
		})
	}
}
