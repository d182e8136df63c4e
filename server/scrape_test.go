//go:build unix

package server_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// scrape is one answer of /metrics.
type scrape struct {
	t    *testing.T
	text []byte
	all  map[string]*dto.MetricFamily
}

// lint holds a scrape against the rules of Prometheus, and against ours: few series, and no label that can grow.
func (s scrape) lint() {
	s.t.Helper()
	problems, err := promlint.New(bytes.NewReader(s.text)).Lint()
	if err != nil || len(problems) > 0 {
		s.t.Errorf("lint: %v, %v", problems, err)
	}
	series := 0
	for name, f := range s.all {
		for _, one := range f.Metric {
			series++
			for _, l := range one.Label {
				if !slices.Contains(labels[name], l.GetName()) {
					s.t.Errorf("%s has a label %s=%q", name, l.GetName(), l.GetValue())
				}
			}
		}
		if len(f.Metric) > 5 {
			s.t.Errorf("%s has %d series", name, len(f.Metric))
		}
	}
	if series > 100 {
		s.t.Errorf("%d series", series)
	}
}

// value is that of a gauge or counter, or the count of a histogram; -1 if there is none. label is the value of its only label.
func (s scrape) value(name string, label ...string) float64 {
	f := s.all["metered_"+name]
	if f == nil {
		return -1
	}
	for _, one := range f.Metric {
		if len(label) > 0 && (len(one.Label) != 1 || one.Label[0].GetValue() != label[0]) {
			continue
		}
		switch {
		case one.Gauge != nil:
			return one.Gauge.GetValue()
		case one.Counter != nil:
			return one.Counter.GetValue()
		case one.Histogram != nil:
			return float64(one.Histogram.GetSampleCount())
		}
	}
	return -1
}

// wants holds values against what they should be: "name" or "name label".
func (s scrape) wants(when string, want map[string]float64) {
	s.t.Helper()
	for key, v := range want {
		name, label := key, []string(nil)
		if before, after, ok := strings.Cut(key, " "); ok {
			name, label = before, []string{after}
		}
		if got := s.value(name, label...); got != v {
			s.t.Errorf("%s: %s is %v, want %v", when, key, got, v)
		}
	}
}

// falls are the counters and histograms of earlier that have more than later ones.
func falls(earlier, later scrape) (list []string) {
	for name, f := range earlier.all {
		if f.GetType() == dto.MetricType_GAUGE || !strings.HasPrefix(name, "metered_") {
			continue
		}
		for _, one := range f.Metric {
			label := one.Label[0].GetValue()
			if was, is := earlier.value(name[len("metered_"):], label), later.value(name[len("metered_"):], label); is < was {
				list = append(list, fmt.Sprintf("%s %s: %v, then %v", name, label, was, is))
			}
		}
	}
	return list
}

// seen are the families that any scrape had, for the tests of what is written about them.
func seen(scrapes ...scrape) map[string]*dto.MetricFamily {
	all := map[string]*dto.MetricFamily{}
	for _, s := range scrapes {
		maps.Copy(all, s.all)
	}
	return all
}
