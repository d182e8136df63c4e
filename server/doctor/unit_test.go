package doctor

import (
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "30s": 30 * time.Second, "1min 30s": 90 * time.Second, "1h 500ms": time.Hour + 500*time.Millisecond, "1.5s": 1500 * time.Millisecond, "1d": 24 * time.Hour,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "infinity", "s", "1x", "90"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestServiceOf(t *testing.T) {
	for group, want := range map[string]string{
		"/system.slice/hello.service":                                         "hello.service",
		"/user.slice/user-0.slice/user@0.service/app.slice/hello.service":     "hello.service",
		"/system.slice/hello@1.service/worker":                                "hello@1.service",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/shell.scope": "",
		"/": "", "": "", "/docker/0123": "",
	} {
		if got := serviceOf(group); got != want {
			t.Errorf("%s: %q, want %q", group, got, want)
		}
	}
}

func TestRuns(t *testing.T) {
	u := &unit{properties: map[string]string{"MainPID": "7", "ControlGroup": "/system.slice/hello.service"}}
	for _, c := range []struct {
		pid   int
		group string
		want  bool
	}{
		{7, "/elsewhere", true},
		{8, "/system.slice/hello.service", true},
		{8, "/system.slice/hello.service/below", true},
		{8, "/system.slice/hello.service2", false},
	} {
		if got := u.runs(&process{pid: c.pid, group: groups{"": c.group}}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
