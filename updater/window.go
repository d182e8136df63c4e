package updater

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Window is a time that comes every week, in which updates are applied by themselves. Between windows they wait, critical ones as
// well; a person's `upgrade` does not. The idea is that of Zincati's periodic strategy, with zones.
//
// It begins when the clocks of its zone show Start, and lasts for as long as Length says, whatever clocks do meanwhile. Where they
// leave Start out (the hour that is skipped in spring), it begins at the first instant after the gap; where they show it twice, at the first.
type Window struct {
	Days   []time.Weekday // on which it begins; none: every day
	Start  time.Duration  // since midnight by the clock: 2 * time.Hour is 02:00; whole minutes
	Length time.Duration  // a minute to a week
	Zone   *time.Location // nil: UTC
}

const week = 7 * 24 * time.Hour

// dayNames are those of the text form, from Sunday as in package time.
var dayNames = [...]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// ParseWindow reads "[DAYS] HH:MM LENGTH [ZONE]": "Mon-Fri 02:00 2h Europe/Berlin", "Sat,Sun 22:30 90m", "03:00 1h". Without days it
// comes every day, without a zone (a name of the IANA database) the time is UTC.
func ParseWindow(s string) (Window, error) {
	var w Window
	f := strings.Fields(s)
	var err error
	if len(f) > 0 && !strings.Contains(f[0], ":") {
		if w.Days, err = parseDays(f[0]); err != nil {
			return w, fmt.Errorf("window %.80q: %w", s, err)
		}
		f = f[1:]
	}
	if len(f) < 2 || len(f) > 3 {
		return w, fmt.Errorf(`window %.80q: want [DAYS] HH:MM LENGTH [ZONE], as "Mon-Fri 02:00 2h Europe/Berlin"`, s)
	}
	clock, err := time.Parse("15:04", f[0])
	if err != nil {
		return w, fmt.Errorf("window %.80q: start %.20q: want HH:MM", s, f[0])
	}
	w.Start = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
	if w.Length, err = time.ParseDuration(f[1]); err != nil {
		return w, fmt.Errorf("window %.80q: length: %w", s, err)
	}
	if len(f) == 3 {
		if w.Zone, err = time.LoadLocation(f[2]); err != nil {
			return w, fmt.Errorf("window %.80q: %w (a system without a time zone database knows UTC alone; a program that imports time/tzdata brings its own)", s, err)
		}
	}
	if err := w.check(); err != nil {
		return w, fmt.Errorf("window %.80q: %w", s, err)
	}
	return w, nil
}

// parseDays reads names and ranges of days, with commas.
func parseDays(s string) (days []time.Weekday, err error) {
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, b := dayOf(first), dayOf(first)
		if isRange {
			b = dayOf(last)
		}
		if a < 0 || b < 0 {
			return nil, fmt.Errorf("day %.20q: want Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a range such as Mon-Fri", part)
		}
		for ; ; a = (a + 1) % 7 {
			if !slices.Contains(days, a) {
				days = append(days, a)
			}
			if a == b {
				break
			}
		}
	}
	return days, nil
}

func dayOf(name string) time.Weekday {
	return time.Weekday(slices.IndexFunc(dayNames[:], func(n string) bool { return strings.EqualFold(n, name) }))
}

func (w Window) check() error {
	switch {
	case w.Start < 0 || w.Start >= 24*time.Hour || w.Start%time.Minute != 0:
		return fmt.Errorf("start %v: want a whole minute of the day", w.Start)
	case w.Length < time.Minute || w.Length > week:
		return fmt.Errorf("length %v: want a minute to a week", w.Length)
	case slices.ContainsFunc(w.Days, func(d time.Weekday) bool { return d < 0 || d > 6 }):
		return fmt.Errorf("days %v: there is no such day", w.Days)
	}
	return nil
}

// String returns w as ParseWindow reads it.
func (w Window) String() string {
	length := w.Length.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(length, zero) {
			length = length[:len(length)-2]
		}
	}
	s := fmt.Sprintf("%02d:%02d %s", int(w.Start.Hours()), int(w.Start.Minutes())%60, length)
	if d := w.days(); d != "" {
		s = d + " " + s
	}
	if w.Zone != nil && w.Zone != time.UTC {
		s += " " + w.Zone.String()
	}
	return s
}

// days lists the days from Monday on, neighbours as a range; "" for every day.
func (w Window) days() string {
	var parts []string
	for i := 1; i <= 7; i++ {
		first := i
		for i <= 7 && w.on(time.Weekday(i%7)) {
			i++
		}
		switch days := i - first; {
		case days == 7:
			return ""
		case days == 1:
			parts = append(parts, dayNames[first%7])
		case days > 1:
			parts = append(parts, dayNames[first%7]+"-"+dayNames[(i-1)%7])
		}
	}
	return strings.Join(parts, ",")
}

func (w Window) on(d time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, d) }

// begins is the instant at which w begins on a day of the calendar: the first at which the clocks of its zone show that time or a later
// one. wall is that time, written as if it were UTC.
func (w Window) begins(wall time.Time) time.Time {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	for t := wall.Add(-24 * time.Hour).In(zone); ; { // no zone is a day away from UTC
		from, to := t.ZoneBounds()
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if to.IsZero() || at.Before(to) {
			if at.Before(from) { // in the gap
				at = from
			}
			return at.UTC()
		}
		t = to
	}
}

// starts are the instants at which w begins, in their order, from some days before the calendar's day of now until a week after it.
func (w Window) starts(now time.Time, before int) iter.Seq[time.Time] {
	if w.Zone != nil {
		now = now.In(w.Zone)
	} else {
		now = now.UTC()
	}
	y, m, d := now.Date()
	return func(yield func(time.Time) bool) {
		for i := -before; i <= 8; i++ { // a day more: clocks that go back over midnight show a day twice
			day := time.Date(y, m, d+i, 0, 0, 0, 0, time.UTC)
			if w.on(day.Weekday()) && !yield(w.begins(day.Add(w.Start))) {
				return
			}
		}
	}
}

// closes is when w closes, if it is open at now; else the zero Time.
func (w Window) closes(now time.Time) (end time.Time) {
	for at := range w.starts(now, int(w.Length/(24*time.Hour))+2) {
		if at.After(now) {
			break
		}
		if e := at.Add(w.Length); e.After(now) {
			end = e
		}
	}
	return end
}

// opens is when w begins next after now.
func (w Window) opens(now time.Time) time.Time {
	for at := range w.starts(now, 0) {
		if at.After(now) {
			return at
		}
	}
	return time.Time{} // not reached: every window comes within a week
}

// Opening is how the windows of a host stand.
type Opening struct {
	Open bool      `json:"open"`
	At   time.Time `json:"at"` // when the next one opens; if one is open, when it closes

	length time.Duration // of the next one
}

// opening is how several windows stand at now; nil if there are none.
func opening(windows []Window, now time.Time) *Opening {
	var o *Opening
	for _, w := range windows {
		one := Opening{Open: true, At: w.closes(now)}
		if one.At.IsZero() {
			one = Opening{At: w.opens(now), length: w.Length}
		}
		if o == nil || one.Open && !o.Open || one.Open == o.Open && one.At.After(o.At) == one.Open {
			o = &one
		}
	}
	return o
}
