package grace_test

import (
	"strings"
	"testing"
)

// TestLint: a socket that is opened behind our back is named at readiness, in every generation; ours are not.
func TestLint(t *testing.T) {
	t.Parallel()
	const warning = "a listening socket that a successor does not inherit"
	f, _ := made(t, "tcp", "127.0.0.1:0")
	s := startPlan(t, t.TempDir(), fromManager(t, "web", f), "open tcp 127.0.0.1:0 web", "open tcp 127.0.0.1:0", "open unix a.sock", "file plain")
	addr := s.addrs(1)[0]
	behind := freePort(t)
	s.plan("open tcp 127.0.0.1:0 web", "open unix a.sock", "listen tcp "+behind, "listen unix behind.sock")
	s.upgradeAt(addr)
	s.addrs(2)
	s.waitLog("address=behind.sock")
	for line := range strings.Lines(s.log()) {
		if strings.Contains(line, warning) && !strings.Contains(line, "generation=2") {
			t.Errorf("generation 1 opened none: %s", line)
		}
	}
	if n := strings.Count(s.log(), warning); n != 2 || !strings.Contains(s.log(), "address="+behind) {
		t.Errorf("%d warnings, want 2", n)
	}
}
