package grace

import "testing"

// TestSaidStopping: the end of a process may be noticed before the message that explains it.
func TestSaidStopping(t *testing.T) {
	for _, c := range []struct {
		name  string
		kinds []string
		ended bool
		want  bool
	}{
		{"nothing", nil, false, false},
		{"the end", nil, true, false},
		{"a vote", []string{msgHealthy}, true, false},
		{"a vote, then a stop", []string{msgHealthy, msgStopping}, true, true},
		{"a stop, and no end yet", []string{msgStopping}, false, true},
	} {
		l := newLink(nil)
		for _, k := range c.kinds {
			l.in <- newMessage(k)
		}
		if c.ended {
			close(l.in)
		}
		if got := (&child{link: l}).saidStopping(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
