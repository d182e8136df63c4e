package grace

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestReclaimAwaitsTheDead: a process that was killed may take seconds to go, and holds its locks until then: OnResume comes after that, and
// never if it does not go.
func TestReclaimAwaitsTheDead(t *testing.T) {
	for _, dies := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var gone bool
			var resumed []bool
			p := &Process{log: slog.New(slog.DiscardHandler), turnstile: &turnstile{}, released: true,
				stops: make(chan os.Signal), hangups: make(chan os.Signal), requests: make(chan *request), exited: make(chan struct{}),
				o: Options{StartTimeout: time.Minute, ReleaseTimeout: time.Second,
					OnResume: func(context.Context) error { resumed = append(resumed, gone); return nil }}}
			if err := <-p.standDown(); err != nil {
				t.Fatal(err)
			}
			c := &child{gone: make(chan struct{})}
			if dies {
				time.AfterFunc(10*time.Second, func() { gone = true; close(c.gone) })
			}
			var verdict error
			p.reclaim(c, func(err error) stateFunc { verdict = err; return nil })
			if dies && (verdict != nil || len(resumed) != 1 || !resumed[0] || p.released) {
				t.Errorf("verdict %v, resumed %v, released %t", verdict, resumed, p.released)
			}
			if !dies && (verdict == nil || len(resumed) != 0 || !p.released) {
				t.Errorf("it never went: verdict %v, resumed %v, released %t", verdict, resumed, p.released)
			}
		})
	}
}
