package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// levels is what this process logs, and what it goes back to. A successor begins with the level that it is started with.
type levels struct {
	mu    sync.Mutex
	usual slog.Level
	until time.Time   // when the usual one comes back; zero if it is not away
	back  *time.Timer // that brings it
}

// LogLevel tells what this process logs.
func (r *runner) LogLevel() (admin.LogLevel, error) {
	r.levels.mu.Lock()
	defer r.levels.mu.Unlock()
	return r.logLevel()
}

// logLevel is LogLevel for those who hold the lock.
func (r *runner) logLevel() (admin.LogLevel, error) {
	if r.s.LogLevel == nil {
		return admin.LogLevel{}, &updater.Error{Class: updater.Policy, Reason: "log-level-fixed",
			Err: errors.New("this program gives its server no way to change the level of its log")}
	}
	d := admin.LogLevel{Schema: admin.Schema, Level: r.s.LogLevel.Level().String()}
	if l := &r.levels; !l.until.IsZero() {
		d.Usual, d.Until = l.usual.String(), l.until
	}
	return d, nil
}

// SetLogLevel logs by another level from now on, or for a while.
func (r *runner) SetLogLevel(req admin.SetLogLevel) (admin.LogLevel, error) {
	r.levels.mu.Lock()
	defer r.levels.mu.Unlock()
	if d, err := r.logLevel(); err != nil {
		return d, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(req.Level)); err != nil {
		return admin.LogLevel{}, &updater.Error{Class: updater.Usage, Reason: "bad-request", Err: err}
	}
	l := &r.levels
	if l.until.IsZero() {
		l.usual = r.s.LogLevel.Level()
	} else {
		l.back.Stop()
		l.until = time.Time{}
	}
	if wait := time.Duration(req.For); wait > 0 {
		until := time.Now().Add(wait)
		l.until, l.back = until, time.AfterFunc(wait, func() { r.endLogLevel(until) })
	}
	r.setLogLevel(level)
	return r.logLevel()
}

// endLogLevel brings the usual level back, unless somebody has asked for something else since.
func (r *runner) endLogLevel(until time.Time) {
	r.levels.mu.Lock()
	defer r.levels.mu.Unlock()
	if l := &r.levels; l.until.Equal(until) {
		l.until = time.Time{}
		r.setLogLevel(l.usual)
	}
}

// setLogLevel says so at a level that the more talkative of the two lets through.
func (r *runner) setLogLevel(to slog.Level) {
	from := r.s.LogLevel.Level()
	r.s.LogLevel.Set(min(from, to))
	r.log.Log(context.Background(), max(slog.LevelInfo, min(from, to)), "log level", "from", from.String(), "to", to.String(), "until", r.levels.until)
	r.s.LogLevel.Set(to)
	d, _ := r.logLevel()
	r.tell(admin.Event{Kind: admin.KindLogLevel, LogLevel: &d})
}
