package grace

import "testing"

// FuzzReadStamp: another process may give its memory any name.
func FuzzReadStamp(f *testing.F) {
	f.Add("/memfd:" + stampOf(3, 17) + " (deleted)")
	f.Add("/memfd:" + stampOf(-1, 0))
	f.Fuzz(func(t *testing.T, link string) {
		g, p, ok := readStamp(link)
		if !ok {
			return
		}
		if g2, p2, ok := readStamp("/memfd:" + stampOf(g, p) + " (deleted)"); !ok || g2 != g || p2 != p {
			t.Errorf("%q: generation %d below %d, then %d below %d, %t", link, g, p, g2, p2, ok)
		}
	})
}
