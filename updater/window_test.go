package updater

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skip("no time zone database: ", err)
	}
	return z
}

func TestWindowText(t *testing.T) {
	for text, want := range map[string]string{
		"Mon-Fri 02:00 2h Europe/Berlin":           "",
		"Sat-Sun 22:30 90m":                        "Sat-Sun 22:30 1h30m",
		"03:00 1h":                                 "",
		"mon,TUE,Wed 3:05 45m0s":                   "Mon-Wed 03:05 45m",
		"Fri-Mon 00:00 24h Asia/Tokyo":             "Mon,Fri-Sun 00:00 24h Asia/Tokyo",
		"Mon-Sun 12:00 1h UTC":                     "12:00 1h",
		"Mon,Wed,Fri,Mon 23:59 168h":               "Mon,Wed,Fri 23:59 168h",
		"Sun 02:00 1h0m30s":                        "Sun 02:00 1h0m30s",
		"Tue-Tue 02:00 1m America/Argentina/Salta": "Tue 02:00 1m America/Argentina/Salta",
	} {
		w, err := ParseWindow(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if want == "" {
			want = text
		}
		if got := w.String(); got != want {
			t.Errorf("%q is written as %q, want %q", text, got, want)
		}
		if again, err := ParseWindow(want); err != nil || again.String() != want {
			t.Errorf("%q is read as %q, %v", want, again, err)
		}
	}
	for text, says := range map[string]string{
		"":                         "want [DAYS]",
		"Mon":                      "want [DAYS]",
		"02:00":                    "want [DAYS]",
		"02:00 2h Europe/Berlin x": "want [DAYS]",
		"Mon-Fry 02:00 2h":         "day",
		"Monday 02:00 2h":          "day",
		", 02:00 2h":               "day",
		"24:00 2h":                 "HH:MM",
		"02:00:30 2h":              "HH:MM",
		"02:00 2":                  "length",
		"02:00 30s":                "a minute to a week",
		"02:00 -2h":                "a minute to a week",
		"02:00 169h":               "a minute to a week",
		"02:00 2h Mars/Olympus":    "time/tzdata",
		"02:00 2h ../etc/passwd":   "time/tzdata",
	} {
		if w, err := ParseWindow(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v, want an error that says %q", text, w, err, says)
		}
	}
	for _, w := range []Window{{Length: time.Hour, Start: time.Second}, {Length: time.Hour, Start: 24 * time.Hour}, {}, {Length: time.Hour, Days: []time.Weekday{7}}} {
		if w.check() == nil {
			t.Errorf("%+v passes", w)
		}
	}
}

// The rows are what a person would say who knows what the clocks of that zone did.
func TestWindowOverClockChanges(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tc := range []struct{ name, window, after, opens, closes string }{
		{"an ordinary night", "02:00 2h Europe/Berlin", "2026-01-14T12:00:00Z", "2026-01-15T02:00:00+01:00", "2026-01-15T04:00:00+01:00"},
		{"the same in summer", "02:00 2h Europe/Berlin", "2026-07-14T12:00:00Z", "2026-07-15T02:00:00+02:00", "2026-07-15T04:00:00+02:00"},
		{"no 02:30 in spring", "02:30 1h Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
		{"elapsed time over the gap", "01:30 1h Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"},
		{"02:30 twice in autumn: the first", "02:30 1h Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		{"once only", "02:30 10m Europe/Berlin", "2026-10-25T02:45:00+02:00", "2026-10-26T02:30:00+01:00", "2026-10-26T02:40:00+01:00"},
		{"New York, spring", "Sun 02:00 2h America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T03:00:00-04:00", "2026-03-08T05:00:00-04:00"},
		{"half an hour, Lord Howe", "02:15 1h Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-04T02:30:00+11:00", "2026-10-04T03:30:00+11:00"},
		{"no midnight in São Paulo", "Sun 00:00 2h America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T01:00:00-02:00", "2018-11-04T03:00:00-02:00"},
		{"midnight comes twice nearly, St John's", "Sun 00:00 1h America/St_Johns", "2006-10-28T12:00:00Z", "2006-10-29T00:00:00-02:30", "2006-10-29T00:00:00-03:30"},
		{"a day that Samoa left out", "Fri 02:00 1h Pacific/Apia", "2011-12-28T12:00:00Z", "2011-12-31T00:00:00+14:00", "2011-12-31T01:00:00+14:00"},
		{"across midnight", "Fri 23:00 4h Asia/Kolkata", "2026-11-26T12:00:00Z", "2026-11-27T23:00:00+05:30", "2026-11-28T03:00:00+05:30"},
		{"across the week's end", "Sat 12:00 48h", "2026-11-27T00:00:00Z", "2026-11-28T12:00:00Z", "2026-11-30T12:00:00Z"},
		{"across the year's end", "22:00 4h Europe/London", "2026-12-31T12:00:00Z", "2026-12-31T22:00:00Z", "2027-01-01T02:00:00Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if f := strings.Fields(tc.window); strings.Contains(f[len(f)-1], "/") {
				zone(t, f[len(f)-1])
			}
			w, err := ParseWindow(tc.window)
			if err != nil {
				t.Fatal(err)
			}
			opens, closes := at(tc.opens), at(tc.closes)
			if got := w.opens(at(tc.after)); !got.Equal(opens) {
				t.Fatalf("opens at %v, want %v", got, opens)
			}
			if !w.closes(opens.Add(-time.Second)).IsZero() || !w.closes(closes).IsZero() {
				t.Error("open before it opens, or when it closes")
			}
			for _, in := range []time.Time{opens, closes.Add(-time.Second)} {
				if got := w.closes(in); !got.Equal(closes) {
					t.Errorf("at %v it closes at %v, want %v", in, got, closes)
				}
			}
		})
	}
}

// A walk from minute to minute, which knows nothing but what the clocks show, finds the same.
func TestWindowAgainstAWalk(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia",
		"Africa/Casablanca", "Antarctica/Troll", "Asia/Kathmandu", "Asia/Gaza"}
	r := rand.New(rand.NewPCG(5, 6))
	for _, name := range zones {
		z := zone(t, name)
		for range 3 {
			w := Window{Zone: z, Start: time.Duration(r.IntN(24*60)) * time.Minute, Length: time.Duration(1+r.IntN(7*24*60)) * time.Minute}
			for d := range time.Weekday(7) {
				if r.IntN(3) == 0 {
					w.Days = append(w.Days, d)
				}
			}
			if r.IntN(2) == 0 { // among the hours in which clocks are changed
				w.Start, w.Length = time.Duration(r.IntN(4*60))*time.Minute, time.Duration(1+r.IntN(180))*time.Minute
			}
			// A change of the clocks, if there are any.
			change := time.Date(2000+r.IntN(30), time.Month(1+r.IntN(12)), 1, 0, 0, 0, 0, z)
			if _, end := change.ZoneBounds(); !end.IsZero() {
				change = end
			}
			walk(t, w, change.Add(-2*24*time.Hour), change.Add(2*24*time.Hour), r)
		}
	}
}

// walk compares w with the clocks between two instants.
func walk(t *testing.T, w Window, from, to time.Time, r *rand.Rand) {
	t.Helper()
	var starts []time.Time
	highest := int64(0) // minute that the clocks have shown, as if in UTC
	for at := from.Add(-9 * 24 * time.Hour).Truncate(time.Minute); at.Before(to.Add(9 * 24 * time.Hour)); at = at.Add(time.Minute) {
		_, offset := at.In(w.Zone).Zone()
		shown := (at.Unix() + int64(offset)) / 60
		for m := highest + 1; highest > 0 && m <= shown; m++ {
			minute := time.Unix(m*60, 0).UTC()
			if w.on(minute.Weekday()) && time.Duration(minute.Hour()*60+minute.Minute())*time.Minute == w.Start {
				starts = append(starts, at)
			}
		}
		highest = max(highest, shown)
	}
	for at := from; at.Before(to); at = at.Add(time.Duration(1+r.IntN(20*60)) * time.Second) {
		var closes, opens time.Time
		for _, s := range starts {
			switch {
			case s.After(at) && opens.IsZero():
				opens = s
			case !s.After(at) && s.Add(w.Length).After(at):
				closes = s.Add(w.Length)
			}
		}
		if got := w.closes(at); !got.Equal(closes) {
			t.Fatalf("%s at %v: closes at %v, want %v", w, at, got, closes)
		}
		if got := w.opens(at); !got.Equal(opens) {
			t.Fatalf("%s at %v: opens at %v, want %v", w, at, got, opens)
		}
	}
}

// Of several windows, one that is open counts, the one that stays so longest; else the one that opens first.
func TestOpening(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	w := func(s string) Window { v, _ := ParseWindow(s); return v }
	for _, tc := range []struct {
		windows []Window
		open    bool
		hour    int
	}{
		{[]Window{w("11:00 2h")}, true, 13},
		{[]Window{w("11:00 2h"), w("14:00 1h")}, true, 13},
		{[]Window{w("14:00 1h"), w("11:00 2h"), w("10:00 4h"), w("12:00 1h")}, true, 14},
		{[]Window{w("15:00 2h"), w("14:00 1h"), w("11:00 1h")}, false, 14},
	} {
		for range tc.windows {
			tc.windows = append(tc.windows[1:], tc.windows[0]) // whatever their order
			if o := opening(tc.windows, now); o.Open != tc.open || o.At.Hour() != tc.hour {
				t.Errorf("%v: %+v, want open %v, %d h", tc.windows, o, tc.open, tc.hour)
			}
		}
	}
	if opening(nil, now) != nil {
		t.Error("no window is one")
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("Mon-Fri 02:00 2h Europe/Berlin")
	f.Add("Sat,Sun 22:30 1h30m")
	now := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWindow(s)
		if err != nil {
			return
		}
		again, err := ParseWindow(w.String())
		if err != nil || again.String() != w.String() || again.Length != w.Length || again.Start != w.Start {
			t.Fatalf("%q is written as %q, then %q, %v", s, w, again, err)
		}
		next, end := w.opens(now), w.closes(now)
		if !next.After(now) || next.Sub(now) > 9*24*time.Hour || !end.IsZero() && !end.After(now) {
			t.Fatalf("%q opens at %v, closes at %v", w, next, end)
		}
	})
}
