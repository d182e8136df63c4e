package transfer

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, test := range []struct {
		after, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"5", "", 5 * time.Second},
		{" 120 ", "", 2 * time.Minute},
		{"-5", "", 0},
		{"+5", "", 0},
		{"soon", "", 0},
		{"1.5", "", 0},
		{"999999999", "", 24 * time.Hour},
		{"99999999999999999999999", "", 24 * time.Hour},
		{date(time.Hour), "", time.Hour},
		{date(time.Hour), date(30 * time.Minute), 30 * time.Minute}, // by the server's clock
		{date(time.Hour), "some day", time.Hour},
		{date(-time.Hour), "", 0},
		{date(1000 * time.Hour), "", 24 * time.Hour},
		{now.Add(time.Minute).Format(time.ANSIC), "", time.Minute}, // the oldest of the three forms
	} {
		h := http.Header{"Retry-After": {test.after}, "Date": {test.date}}
		if got := retryAfter(h, now); got != test.want {
			t.Errorf("retryAfter(%q, date %q) = %v, want %v", test.after, test.date, got, test.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Fri, 01 May 2026 12:00:00 GMT", "Fri, 01 May 2026 11:00:00 GMT")
	f.Add("Friday, 01-May-26 12:00:00 GMT", "x")
	f.Fuzz(func(t *testing.T, after, date string) {
		if d := retryAfter(http.Header{"Retry-After": {after}, "Date": {date}}, time.Now()); d < 0 || d > maxRetryAfter {
			t.Errorf("%v", d)
		}
	})
}

func TestContentRange(t *testing.T) {
	for s, want := range map[string][3]int64{
		"bytes 0-0/1":                   {0, 0, 1},
		"bytes 5-9/10":                  {5, 9, 10},
		"bytes 5-9/*":                   {5, 9, -1},
		"":                              {},
		"bytes */10":                    {},
		"bytes 5-9":                     {},
		"bytes 9-5/10":                  {},
		"bytes 5-10/10":                 {},
		"bytes 5-9/":                    {},
		"bytes -9/10":                   {},
		"bytes +5-9/10":                 {},
		"bytes 5--9/10":                 {},
		"bytes 5-9/-1":                  {},
		"bytes=5-9/10":                  {},
		"items 5-9/10":                  {},
		"bytes 5-9223372036854775808/*": {},
	} {
		first, last, total, ok := contentRange(s)
		if ok != (want[2] != 0) || ok && [3]int64{first, last, total} != want {
			t.Errorf("contentRange(%q) = %d, %d, %d, %v", s, first, last, total, ok)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Add("bytes 0-9223372036854775807/*")
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := contentRange(s)
		if ok && (first < 0 || last < first || total >= 0 && last >= total || total < -1) {
			t.Errorf("%q: %d-%d/%d", s, first, last, total)
		}
	})
}

func TestStrongETag(t *testing.T) {
	for s, want := range map[string]bool{`"v1"`: true, `""`: true, `W/"v1"`: false, `w/"v1"`: false, `v1`: false, `"`: false, ``: false, `"a"b"`: false, `"v1`: false} {
		if got := strongETag(http.Header{"Etag": {s}}); (got == s) != want && s != "" {
			t.Errorf("strongETag(%s) = %s", s, got)
		}
	}
}
