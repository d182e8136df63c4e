package fleet

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Text writes the findings as tables for people.
func (f *Findings) Text(out io.Writer) {
	s := f.study
	fmt.Fprintf(out, "%d hosts, seed %d.\n\nA day without a release. A check that finds nothing costs %d bytes up and %d down.\n\n", f.Hosts, f.Seed, s.Cost.Up, s.Cost.Down)
	table(out, "check every,hosts,max-age,checks,requests,304,from copies,up,down,p50/s,p99/s,max/s,origin max/s", func(row func(...any)) {
		for _, p := range f.Polling {
			row(span(secs(p.Interval)), startName[p.Start], span(secs(p.MaxAge)), count(p.Checks), count(p.Requests), percent(p.NotModified), percent(p.Hits),
				bytesText(p.Up), bytesText(p.Down), p.PerSecond.P50, p.PerSecond.P99, p.PerSecond.Max, p.OriginMax)
		}
	})
	fmt.Fprintf(out, "\nA good release: a full payload of %s, a delta of %s; %s of the hosts are off and come back within %s. The peak is the busiest hour's.\n\n",
		bytesText(s.Full), bytesText(s.Delta), percent(s.Off), span(s.OffFor))
	table(out, "check every,curve,half have it,99 % have it,full,peak,delta,peak", func(row func(...any)) {
		for _, a := range f.Adoption {
			row(span(secs(a.Interval)), a.Curve, after(a.Half), after(a.Most), bytesText(a.Full), bits(a.PeakFull), bytesText(a.Delta), bits(a.PeakDelta))
		}
	})
	fmt.Fprintf(out, "\nA bad release: %s of those that take it find out on probation and go back at once, the others after %s; the publisher hears of %s of the faults.\nCopies of timestamp.json live for %s.\n\n",
		percent(s.Fails), span(s.Delay), percent(s.Reported), span(s.MaxAge))
	table(out, "check every,curve,publisher halts,halted after,took it,of the fleet,undone at once,left with it,after the halt", func(row func(...any)) {
		for _, b := range f.Bad {
			when := span(secs(b.Halt)) + " after publication"
			if b.Reports > 0 {
				when = fmt.Sprintf("%s after %d reports", span(secs(b.Halt)), b.Reports)
			}
			row(span(secs(b.Interval)), b.Curve, when, after(b.HaltedAt), b.Took, percent(float64(b.Took)/float64(f.Hosts)), b.Undone, b.Took-b.Undone, b.Late)
		}
	})
}

func table(out io.Writer, heads string, rows func(row func(...any))) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heads, ",", "\t"))
	rows(func(cells ...any) {
		fmt.Fprintln(w, strings.TrimSuffix(fmt.Sprintf(strings.Repeat("%v\t", len(cells)), cells...), "\t"))
	})
	w.Flush()
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// span writes 6h0m0s as 6 h.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}

func after(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f h", s/hour)
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func count(n int64) string {
	if n < 10_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.3g M", float64(n)/1e6)
}

func bytesText(n int64) string { return scaled(float64(n), "B") }
func bits(n float64) string    { return scaled(n, "bit/s") }

func scaled(n float64, unit string) string {
	for _, p := range []string{"", "k", "M", "G", "T"} {
		if n < 1000 {
			return fmt.Sprintf("%.3g %s%s", n, p, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.4g P%s", n, unit)
}
