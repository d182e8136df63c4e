package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
)

func TestParseLogLine(t *testing.T) {
	e := parseLogLine(`time=2026-11-22T16:48:34.729Z level=WARN msg="serving again" generation=2 err="exit \"status\" 2" pid=10237` + "\n")
	if e.msg != "serving again" || e.attrs["pid"] != "10237" || e.attrs["err"] != `exit "status" 2` || e.time.Nanosecond() != 729e6 {
		t.Errorf("%+v", e)
	}
	if e := parseLogLine("panic: app: built to crash"); e.msg != "" {
		t.Errorf("a line that is no record: %+v", e)
	}
}

// TestHeldByBad: only what the crashing version must have accepted is put down to the crash.
func TestHeldByBad(t *testing.T) {
	t0 := time.Now()
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	a := newAudit("3.0.0")
	a.add(&handover{from: "1.0.0", to: "2.0.0", accepting: at(1), ended: at(5)})
	a.add(&handover{from: "2.0.0", to: "3.0.0", accepting: at(10), ended: at(12)})
	said := func(v string) http.Header { return http.Header{"X-Version": {v}} }
	for name, c := range map[string]struct {
		answer gracetest.Answer
		want   bool
	}{
		"last answer from it":      {gracetest.Answer{Before: said("3.0.0"), Dialed: at(9)}, true},
		"last answer from another": {gracetest.Answer{Before: said("2.0.0"), Dialed: at(11)}, false},
		"dialed while it accepted": {gracetest.Answer{Dialed: at(11)}, true},
		"dialed before":            {gracetest.Answer{Dialed: at(9)}, false},
		"dialed after":             {gracetest.Answer{Dialed: at(13)}, false},
		"in another's probation":   {gracetest.Answer{Dialed: at(3)}, false},
	} {
		if got := a.heldByBad(c.answer); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSummaryFails: a failure that no crash explains, or more than were open, ends the demonstration with an error.
func TestSummaryFails(t *testing.T) {
	report := gracetest.Report{Requests: map[gracetest.Kind]int{gracetest.New: 10}}
	lost := gracetest.Answer{Kind: gracetest.New, Err: errors.New("no answer")}
	held := gracetest.Answer{Kind: gracetest.New, Err: errors.New("no answer"), Before: http.Header{"X-Version": {"3.0.0"}}}
	for name, c := range map[string]struct {
		lost []gracetest.Answer
		ok   bool
		says string
	}{
		"nothing lost":  {nil, true, "no request was lost\n"},
		"the crash's":   {[]gracetest.Answer{held}, true, "the 1 on connections"},
		"not explained": {[]gracetest.Answer{lost}, false, "failure by kind: no answer, 1"},
		"too many":      {[]gracetest.Answer{held, held, held}, false, "failure by kind"},
	} {
		a := newAudit("3.0.0")
		a.report, a.clients, a.lost = report, 2, c.lost
		var out strings.Builder
		s := a.summary()
		s.text(&out)
		if (s.err() == nil) != c.ok || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %v\n%s", name, s.err(), out.String())
		}
	}
}

// TestDemoOutsideOfATree says how to get one.
func TestDemoOutsideOfATree(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr strings.Builder
	if code := run(t.Context(), []string{"demo"}, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "hint: git clone") {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
	os.WriteFile("go.mod", []byte("module example.com/other\n"), 0o600)
	if _, err := findTree(); err == nil {
		t.Error("another module's tree was taken")
	}
}
