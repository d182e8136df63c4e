package delta

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// TestSegments: a search that begins anywhere in the new file finds that it goes on as the old one does.
func TestSegments(t *testing.T) {
	old := make([]byte, 100_000)
	if _, err := io.ReadFull(rand.NewChaCha8([32]byte{6}), old); err != nil {
		t.Fatal(err)
	}
	new := bytes.Clone(old)
	for i := 5000; i < len(new); i += 10_000 {
		new[i]++
	}
	x := newIndex(old)
	for _, s := range [][2]int{{0, 50_000}, {50_000, 100_000}, {99_990, 100_000}} {
		if found := x.matches(new, s[0], s[1]); len(found) != 1 || found[0] != (match{old: s[0], new: s[0], length: s[1] - s[0]}) {
			t.Errorf("%v: %v", s, found)
		}
	}
	if found := x.matches(append(bytes.Clone(new), old...), 100_000, 200_000); len(found) != 1 || found[0] != (match{old: 0, new: 100_000, length: 100_000}) {
		t.Errorf("past the end of the old file: %v", found)
	}
}
