package updater

import (
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestUnquarantine(t *testing.T) {
	const none, ambiguous = "no-such-version", "ambiguous"
	for _, tc := range []struct {
		which   string
		cleared int
		reason  string
		class   Class
	}{
		{"", 4, "", ""},
		{"1.1.0", 2, "", ""},
		{"v1.2.0", 1, "", ""},
		{"1.3.0", 0, none, Failed},
		{release.Digest{3}.String(), 1, "", ""},
		{"ABABABab", 1, "", ""},
		{"03000", 0, none, Failed}, // too short to mean anything
		{"010000", 0, ambiguous, Usage},
		{"1.1", 0, none, Failed},
	} {
		b := newBench(t, nil)
		b.lock()
		b.Updater.state.Quarantine = []Quarantined{
			{release.Digest{1}, "1.1.0", "crashed", time.Now()}, {release.Digest{1, 0, 0, 1}, "1.1.0", "hung", time.Now()},
			{release.Digest{3}, "1.2.0", "ill", time.Now()}, {release.Digest{0xab, 0xab, 0xab, 0xab}, "2.0.0", "ill", time.Now()},
		}
		cleared, err := b.Unquarantine(tc.which)
		if tc.reason != "" {
			wantError(t, err, tc.class, tc.reason)
		} else if err != nil {
			t.Errorf("%q: %v", tc.which, err)
		}
		if len(cleared) != tc.cleared {
			t.Errorf("%q: cleared %+v, want %d", tc.which, cleared, tc.cleared)
		}
		b.Unlock()
		b.open(nil)
		want := 4 - tc.cleared
		if tc.reason != "" { // nothing was written either
			want = 0
		}
		if left := len(b.status().Quarantine); left != want {
			t.Errorf("%q: %d are left on disk, want %d", tc.which, left, want)
		}
	}
}
