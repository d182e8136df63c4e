package server

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// carryPatience is how long a scrape of a successor waits for what its predecessor had counted: without it counters would seem to
// fall for a moment, and a monitoring system would count them anew.
const carryPatience = time.Second

// mostScrapes is how many run at a time; more are refused.
const mostScrapes = 4

// facts are what one scrape is made of.
type facts struct {
	status  admin.Status
	updater updater.Status // zero if there is none
	record  record
	counts  grace.Counts
	ready   bool
	gap     float64
}

// unknown leaves a figure out of the scrape.
var unknown = math.NaN()

// figures are the gauges that have no labels. docs/reference/metrics.md explains each.
var figures = []struct {
	name, help string
	value      func(facts) float64
}{
	{"generation", "Number of this generation: 1 after a cold start, one more with each handover.",
		func(f facts) float64 { return float64(f.status.Generation) }},
	{"ready", "1 if this process is ready, as /readyz says.",
		func(f facts) float64 { return truth(f.ready) }},
	{"probation", "1 while this process is a new generation that its predecessor still watches.",
		func(f facts) float64 { return truth(f.status.State == grace.Probation.String()) }},
	{"connections", "Open connections of this process.",
		func(f facts) float64 { return float64(f.counts.Open) }},
	{"hijacked_connections", "Those of them that a handler has taken over, as for a WebSocket.",
		func(f facts) float64 { return float64(f.counts.Hijacked) }},
	{"draining_generations", "Older generations that still drain.",
		func(f facts) float64 { return float64(len(f.status.Draining)) }},
	{"draining_connections", "Open connections of older generations that still drain.",
		func(f facts) float64 { return float64(drainingConnections(f.status.Draining)) }},
	{"draining_since_timestamp_seconds", "When the oldest generation that still drains began to. Absent if none does.",
		func(f facts) float64 { return drainingSince(f.status.Draining) }},
	{"handover_gap_seconds", "How long nobody accepted connections at the handover to this generation; 0 if old and new overlapped. Absent without one.",
		func(f facts) float64 { return f.gap }},
	{"updates_on", "1 if this server updates itself.",
		func(f facts) float64 { return truth(f.status.Updates.On) }},
	{"update_available", "1 if something newer is offered to this host, also while policy keeps it back.",
		func(f facts) float64 { return truth(f.record.Source.newerThan(f.status.Version)) }},
	{"update_held", "1 while somebody holds updates.",
		func(f facts) float64 { return truth(f.updater.Hold != nil) }},
	{"quarantined_builds", "Builds that failed here and are not tried again.",
		func(f facts) float64 { return float64(len(f.updater.Quarantine)) }},
	{"feed_last_success_timestamp_seconds", "When the source of updates last answered a check. Absent before it ever did.",
		func(f facts) float64 { return seconds(f.record.Source.LastAnswer) }},
	{"last_upgrade_successful", "1 if the last attempt to change the version was committed. Absent before the first.",
		func(f facts) float64 { return lastUpgrade(f.updater.Last) }},
	{"last_upgrade_success_timestamp_seconds", "When an attempt to change the version was last committed. Absent if none ever was.",
		func(f facts) float64 { return seconds(f.updater.LastSuccess) }},
	{"last_restart_successful", "0 if the last restart that this process tried without a new version, as by HUP, was undone.",
		func(f facts) float64 { return truth(f.status.RestartError == "") }},
}

// metrics renders what a server knows of itself for Prometheus, in a registry of its own.
type metrics struct {
	r       *runner
	handler http.Handler

	figures                                               []*prometheus.Desc
	build, attempts, handovers, connections, took, expiry *prometheus.Desc
}

func newMetrics(r *runner) *metrics {
	prefix := metricPrefix(r.s.Name)
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+"_"+name, help, labels, nil)
	}
	m := &metrics{
		r:           r,
		build:       desc("build_info", "1; the labels say what runs.", "version", "revision", "goversion"),
		attempts:    desc("upgrade_attempts_total", "Attempts to change the version that have ended, by outcome, since there is a state directory.", "outcome"),
		handovers:   desc("handovers_total", "Handovers of this line of processes, by outcome, since its cold start.", "outcome"),
		connections: desc("handover_connections_total", "Connections of processes that were replaced, by what became of them, since the cold start.", "fate"),
		took:        desc("upgrade_phase_duration_seconds", "How long the phases of handovers took, since the cold start.", "phase"),
		expiry:      desc("feed_expiry_timestamp_seconds", "Until when the metadata of each role of the feed is good. Absent for other sources.", "role"),
	}
	for _, f := range figures {
		m.figures = append(m.figures, desc(f.name, f.help))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: mostScrapes,
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelWarn),
	})
	return m
}

// ServeHTTP answers a scrape, with what the predecessor had counted too.
func (m *metrics) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if m.r.p.Generation() > 1 {
		select {
		case <-m.r.ledger.carried:
		case <-req.Context().Done():
		case <-time.After(carryPatience):
		}
	}
	m.handler.ServeHTTP(w, req)
}

// Describe is that of prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(m.figures, m.build, m.attempts, m.handovers, m.connections, m.took, m.expiry) {
		ch <- d
	}
}

// Collect is that of prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	f := m.r.facts()
	for i, one := range figures {
		if v := one.value(f); !math.IsNaN(v) {
			ch <- prometheus.MustNewConstMetric(m.figures[i], prometheus.GaugeValue, v)
		}
	}
	ch <- prometheus.MustNewConstMetric(m.build, prometheus.GaugeValue, 1, m.r.s.Version, revision(), runtime.Version())
	for outcome, n := range f.updater.Attempts {
		ch <- prometheus.MustNewConstMetric(m.attempts, prometheus.CounterValue, float64(n), outcome)
	}
	for _, outcome := range handoverOutcomes {
		ch <- prometheus.MustNewConstMetric(m.handovers, prometheus.CounterValue, float64(f.record.Handovers[outcome]), outcome)
	}
	for _, fate := range fates {
		ch <- prometheus.MustNewConstMetric(m.connections, prometheus.CounterValue, float64(f.record.Connections[fate]), fate)
	}
	for _, phase := range phases {
		d := f.record.Phases[phase]
		ch <- prometheus.MustNewConstHistogram(m.took, d.Count, d.Sum, d.cumulative(), phase)
	}
	for _, e := range f.record.Source.Expiries {
		ch <- prometheus.MustNewConstMetric(m.expiry, prometheus.GaugeValue, seconds(e.Expires), e.Role)
	}
}

// facts asks everybody once.
func (r *runner) facts() facts {
	f := facts{status: r.Status(), counts: r.p.Counts(), ready: r.ready(context.Background()), gap: unknown}
	if f.status.Updater != nil {
		f.updater = *f.status.Updater
	}
	f.record = r.ledger.sum(newSourceRecord(f.updater))
	if gap, ok := r.ledger.handoverGap(); ok {
		f.gap = gap.Seconds()
	}
	return f
}

// recordNow is what a successor is given.
func (r *runner) recordNow() record {
	var known sourceRecord
	if r.u != nil {
		if st, err := r.u.Status(); err == nil {
			known = newSourceRecord(st)
		}
	}
	return r.ledger.sum(known)
}

var notInName = regexp.MustCompile(`[^a-z0-9_]`)

// metricPrefix is a program's name as the names of its metrics begin.
func metricPrefix(name string) string {
	p := notInName.ReplaceAllString(strings.ToLower(name), "_")
	if p == "" || p[0] >= '0' && p[0] <= '9' {
		p = "_" + p
	}
	return p
}

// revision is that of the program's source, if it was built in its repository; else empty.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is t as Prometheus writes it.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return unknown
	}
	return float64(t.UnixMilli()) / 1000
}

func lastUpgrade(a *updater.Attempt) float64 {
	if a == nil {
		return unknown
	}
	return truth(a.Outcome == "committed")
}

func drainingConnections(list []admin.Draining) (n int) {
	for _, d := range list {
		n += d.Connections
	}
	return n
}

func drainingSince(list []admin.Draining) float64 {
	var first time.Time
	for _, d := range list {
		if first.IsZero() || d.Since.Before(first) {
			first = d.Since
		}
	}
	return seconds(first)
}
