package grace

import "testing"

// TestAncestry: who must not lose sight of this process, and who need not see it.
func TestAncestry(t *testing.T) {
	for _, c := range []struct {
		a    ancestry
		want string
	}{
		{ancestry{pid: 1}, "it is PID 1"},
		{ancestry{pid: 1, notify: true}, "it is PID 1"}, // podman passes NOTIFY_SOCKET to PID 1: there is nobody to replace that
		{ancestry{pid: 9, parent: 0}, "its parent is outside its pid namespace"},
		{ancestry{pid: 9, parent: 0, notify: true}, ""},
		{ancestry{pid: 9, parent: 1, name: "tini"}, "it runs below tini"},
		{ancestry{pid: 9, parent: 7, name: "supervise-daemo"}, "it runs below supervise-daemo"},
		{ancestry{pid: 9, parent: 7, name: "runsv", notify: true}, ""},
		{ancestry{pid: 9, parent: 1, name: "sh"}, "it runs below a shell as PID 1"},
		{ancestry{pid: 9, parent: 1, name: "entrypoint.sh"}, "it runs below a shell as PID 1"},
		{ancestry{pid: 9, parent: 8, name: "sh"}, ""},
		{ancestry{pid: 9, parent: 1, name: "systemd"}, ""},
		{ancestry{pid: 9, parent: 1, name: "init"}, ""},
		{ancestry{pid: 9, parent: 7}, ""},
	} {
		if got := c.a.reason(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.a, got, c.want)
		}
	}
	for _, name := range followers {
		if len(name) > 15 {
			t.Errorf("%q: the kernel keeps 15 bytes of it", name)
		}
	}
}

// TestStamp: what a generation writes is what a cold start reads, and nothing else is.
func TestStamp(t *testing.T) {
	g, p, ok := readStamp("/memfd:" + stampOf(12, 345) + " (deleted)")
	if g != 12 || p != 345 || !ok {
		t.Errorf("%d below %d, %v", g, p, ok)
	}
	for _, s := range []string{"", "/memfd:grace generation 1 below x (deleted)", "/memfd:grace generation 1 below 2", "/memfd:other (deleted)", "/tmp/grace generation 1 below 2 (deleted)"} {
		if _, _, ok := readStamp(s); ok {
			t.Errorf("%q taken for a stamp", s)
		}
	}
}
