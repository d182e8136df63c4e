package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/moult-go/moult/grace/gracetest"
)

// demoSummary is what the demonstration ends with.
type demoSummary struct {
	Schema    int              `json:"schema"`
	Bad       string           `json:"crashing_version"`
	Clients   []clientRow      `json:"clients"`
	All       clientRow        `json:"all"`
	Failures  map[string]int   `json:"failures"` // by what the client saw
	Bound     int              `json:"open_connections_at_most"`
	Handovers []handoverRow    `json:"handovers"`
	Served    map[string][]int `json:"answers_per_half_second"` // by version
}

// clientRow is one population.
type clientRow struct {
	Kind     gracetest.Kind `json:"kind"`
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"` // that no crash explains
	Held     int            `json:"held"`   // on connections that the crashing version had accepted
}

type handoverRow struct {
	From      string  `json:"from"`
	To        string  `json:"to"`
	Because   string  `json:"because"`
	ReadyMS   int64   `json:"fork_to_ready_ms"`
	Probation float64 `json:"probation_seconds"`
	Outcome   string  `json:"outcome"`
	Drained   float64 `json:"drained_seconds"` // after the commit; -1 if undone
}

// summary adds everything up.
func (a *audit) summary() *demoSummary {
	s := &demoSummary{Schema: schema, Bad: a.bad, Bound: a.clients, Failures: map[string]int{}, All: clientRow{Kind: "all"},
		Served: a.served}
	rows := map[gracetest.Kind]*clientRow{}
	for kind, n := range a.report.Requests {
		rows[kind] = &clientRow{Kind: kind, Requests: n}
		s.All.Requests += n
	}
	for _, r := range a.lost {
		s.Failures[gracetest.Name(r.Err)]++
		if a.heldByBad(r) {
			rows[r.Kind].Held++
			s.All.Held++
		} else {
			rows[r.Kind].Failed++
			s.All.Failed++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(rows)) {
		s.Clients = append(s.Clients, *rows[kind])
	}
	for _, h := range a.handovers {
		row := handoverRow{From: h.from, To: h.to, Because: h.why, ReadyMS: h.ready.Sub(h.begun).Milliseconds(),
			Probation: h.ended.Sub(h.ready).Seconds(), Outcome: h.outcome, Drained: -1}
		if !h.drained.IsZero() {
			row.Drained = h.drained.Sub(h.ended).Seconds()
		}
		s.Handovers = append(s.Handovers, row)
	}
	return s
}

// err is nil if nothing was lost but what the crash cost.
func (s *demoSummary) err() error {
	switch {
	case s.All.Failed > 0:
		return fmt.Errorf("demo: %d requests failed that no crash explains", s.All.Failed)
	case s.All.Held > s.Bound:
		return fmt.Errorf("demo: the crash cost %d requests, more than the %d connections that can have been open", s.All.Held, s.Bound)
	}
	return nil
}

func (s *demoSummary) text(out io.Writer) {
	fmt.Fprintln(out)
	s.requestTable(out)
	for _, name := range slices.Sorted(maps.Keys(s.Failures)) {
		fmt.Fprintf(out, "  failure by kind: %s, %d\n", name, s.Failures[name])
	}
	fmt.Fprintln(out)
	s.handoverTable(out)
	fmt.Fprintln(out)
	s.picture(out)
	fmt.Fprintln(out)
	if s.err() != nil {
		return
	}
	if s.All.Held == 0 {
		fmt.Fprintln(out, "no request was lost")
	} else {
		fmt.Fprintf(out, "no request was lost but the %d on connections that %s had accepted when it crashed (at most %d were open)\n",
			s.All.Held, s.Bad, s.Bound)
	}
}

func (s *demoSummary) requestTable(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "clients\trequests\tfailed\theld by %s at its crash\t\n", s.Bad)
	for _, r := range append(slices.Clone(s.Clients), s.All) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", r.Kind, r.Requests, r.Failed, r.Held)
	}
	w.Flush()
}

func (s *demoSummary) handoverTable(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "handover\tbecause\tfork to ready\ton probation\toutcome\tdrained after\t\n")
	for _, h := range s.Handovers {
		drained := "-"
		if h.Drained >= 0 {
			drained = fmt.Sprintf("%.1f s", h.Drained)
		}
		fmt.Fprintf(w, "%s → %s\t%s\t%d ms\t%.1f s\t%s\t%s\t\n", h.From, h.To, h.Because, h.ReadyMS, h.Probation, h.Outcome, drained)
	}
	w.Flush()
}

// picture draws who answered when, a character for each slot.
func (s *demoSummary) picture(out io.Writer) {
	last := 0
	for _, counts := range s.Served {
		last = max(last, len(counts))
	}
	fmt.Fprintf(out, "who answered, a character each %s (the fuller, the more):\n", slot)
	for _, v := range slices.Sorted(maps.Keys(s.Served)) {
		var b strings.Builder
		for i := range last {
			b.WriteRune(shade(s.at(v, i), s.at("", i)))
		}
		fmt.Fprintf(out, "  %s  %s\n", v, strings.TrimRight(b.String(), " "))
	}
}

// at counts the answers of a version in a slot; of all versions for "".
func (s *demoSummary) at(version string, i int) (n int) {
	for v, counts := range s.Served {
		if (version == "" || v == version) && i < len(counts) {
			n += counts[i]
		}
	}
	return n
}

func shade(n, of int) rune {
	switch {
	case n == 0:
		return ' '
	case 4*n <= of:
		return '░'
	case 4*n <= 3*of:
		return '▒'
	}
	return '█'
}
