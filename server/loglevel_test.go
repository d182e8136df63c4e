package server

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func TestLogLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, err := Service{Name: "hello", Handler: http.NotFoundHandler(), LogLevel: new(slog.LevelVar)}.filled()
		if err != nil {
			t.Fatal(err)
		}
		s.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: s.LogLevel}))
		r := newRunner(s)
		r.p = newFakeProcess(t.TempDir())
		set := func(level string, wait time.Duration) admin.LogLevel {
			d, err := r.SetLogLevel(admin.SetLogLevel{Level: level, For: admin.Seconds(wait)})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		is := func(want slog.Level) {
			t.Helper()
			if got := s.LogLevel.Level(); got != want {
				t.Errorf("level %s, want %s", got, want)
			}
		}
		if d := set("warn", 0); d.Level != "WARN" || d.Usual != "" || !d.Until.IsZero() {
			t.Errorf("for good: %+v", d)
		}
		if d := set("DEBUG", time.Minute); d.Level != "DEBUG" || d.Usual != "WARN" || time.Until(d.Until) != time.Minute {
			t.Errorf("for a minute: %+v", d)
		}
		time.Sleep(50 * time.Second)
		set("INFO", time.Minute) // the first one's end is not that of the second
		time.Sleep(50 * time.Second)
		is(slog.LevelInfo)
		time.Sleep(20 * time.Second)
		is(slog.LevelWarn)
		set("ERROR", time.Minute)
		set("INFO", 0) // for good
		time.Sleep(2 * time.Minute)
		is(slog.LevelInfo)
		if n := strings.Count(log.String(), "log level"); n != 6 {
			t.Errorf("%d changes are in the log:\n%s", n, &log)
		}
		if n := len(r.hub.ring); n != 6 {
			t.Errorf("%d changes were told", n)
		}
		if _, err := r.SetLogLevel(admin.SetLogLevel{Level: "loud"}); classOf(err) != updater.Usage {
			t.Errorf("loud: %v", err)
		}
	})
}

func TestLogLevelFixed(t *testing.T) {
	r := newRunner(Service{})
	for _, ask := range []func() (admin.LogLevel, error){r.LogLevel, func() (admin.LogLevel, error) { return r.SetLogLevel(admin.SetLogLevel{Level: "INFO"}) }} {
		var e *updater.Error
		if _, err := ask(); !errors.As(err, &e) || e.Reason != "log-level-fixed" {
			t.Errorf("without a LevelVar: %v", err)
		}
	}
}
