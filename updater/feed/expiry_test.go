package feed_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/updater/feed"
)

// TestWarnsBeforeTheFeedExpires: the operators of servers hear of a publisher who forgot.
func TestWarnsBeforeTheFeedExpires(t *testing.T) {
	const day = 24 * time.Hour
	for age, want := range map[time.Duration]string{0: "", 14*day - time.Hour: "role=timestamp"} {
		s := newSite(t, func() time.Time { return time.Now().Add(-age) })
		var log bytes.Buffer
		s.query.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if _, err := feed.New(s.url, s.root).Check(t.Context(), s.query); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, want) || (want == "") != !strings.Contains(got, "expires soon") {
			t.Errorf("a feed of %s ago: logged %q", age, got)
		}
	}
}
