package feed_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/feed"
)

// TestWarnsBeforeTheFeedExpires: the operators of servers hear of a publisher who forgot.
func TestWarnsBeforeTheFeedExpires(t *testing.T) {
	const day = 24 * time.Hour
	for age, want := range map[time.Duration]string{0: "", 14*day - time.Hour: "role=timestamp"} {
		s := newSite(t, func() time.Time { return time.Now().Add(-age) })
		var log bytes.Buffer
		s.query.Logger = slog.New(slog.NewTextHandler(&log, nil))
		src := feed.New(s.url, s.root)
		if _, err := src.Check(t.Context(), s.query); err != nil {
			t.Fatal(err)
		}
		roles := src.(interface{ Expiries() []updater.Expiry }).Expiries()
		if len(roles) != 5 || len(roles[0].Keys) == 0 || len(roles[4].Keys) == 0 || roles[3].EndsSoon != (want != "") {
			t.Errorf("a feed of %s ago: %+v", age, roles)
		}
		if got := log.String(); !strings.Contains(got, want) || (want == "") != !strings.Contains(got, "expires soon") {
			t.Errorf("a feed of %s ago: logged %q", age, got)
		}
	}
}

// TestExpiries: status can say until when each role is good, once the feed was read.
func TestExpiries(t *testing.T) {
	s := newSite(t, time.Now)
	src := feed.New(s.url, s.root)
	expiring := src.(interface{ Expiries() []updater.Expiry })
	if list := expiring.Expiries(); list != nil {
		t.Errorf("before a check: %v", list)
	}
	if _, err := src.Check(t.Context(), s.query); err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, e := range expiring.Expiries() {
		roles = append(roles, e.Role)
		if !e.Expires.After(time.Now()) {
			t.Errorf("%s expired %s", e.Role, e.Expires)
		}
	}
	if want := []string{"root", "targets", "snapshot", "timestamp", "brake"}; !slices.Equal(roles, want) {
		t.Errorf("roles %v, want %v", roles, want)
	}
}
