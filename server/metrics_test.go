package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moult-go/moult/grace"
)

func TestMetricPrefix(t *testing.T) {
	for name, want := range map[string]string{"hello": "hello", "My-Server": "my_server", "7zip": "_7zip", "grüße": "gr__e", "a.b_c": "a_b_c", "": "_"} {
		if got := metricPrefix(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestNewerThan(t *testing.T) {
	for _, tt := range []struct {
		offered, running string
		want             bool
	}{
		{"", "1.0.0", false}, {"1.1.0", "1.0.0", true}, {"1.1.0", "1.1.0", false}, {"1.1.0", "1.2.0", false}, {"1.1.0", "dev", true},
	} {
		if got := (sourceRecord{Newer: tt.offered}).newerThan(tt.running); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestDurations(t *testing.T) {
	var d durations
	for _, took := range []time.Duration{0, 5 * time.Millisecond, 6 * time.Millisecond, time.Minute, time.Hour} {
		d = d.with(took)
	}
	c := d.cumulative()
	if d.Count != 5 || c[.005] != 2 || c[.01] != 3 || c[30] != 3 || c[60] != 4 || c[600] != 4 || d.Sum < 3660 || d.Sum > 3660.02 {
		t.Errorf("%+v, %v", d, c)
	}
	if sum := d.plus(d); sum.Count != 10 || sum.cumulative()[600] != 8 {
		t.Errorf("%+v", sum)
	}
}

// TestRecordTravels: what one version writes the next reads; another number is declined.
func TestRecordTravels(t *testing.T) {
	r := newRecord()
	r.Handovers[handoverCommitted] = 7
	r.Phases[phaseDrain] = durations{}.with(time.Second)
	r.Source = sourceRecord{LastAnswer: time.Unix(1, 0).UTC(), Newer: "2.0.0"}
	b, err := recordBlob.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := recordBlob.Decode(recordVersion, b)
	if err != nil || got.Handovers[handoverCommitted] != 7 || got.Phases[phaseDrain].Count != 1 || got.Source.LastAnswer != r.Source.LastAnswer || got.Source.Newer != "2.0.0" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := recordBlob.Decode(recordVersion, []byte(`{"handovers":null,"more":1}`)); err != nil || got.plus(newRecord()).Handovers == nil {
		t.Errorf("of another program: %+v, %v", got, err)
	}
	if _, err := recordBlob.Decode(recordVersion+1, b); err == nil {
		t.Error("read what it does not know")
	}
}

// steps tells l of a handover as grace does: each of the steps a second after the one before it.
func steps(l *ledger, at time.Time, steps ...grace.Step) time.Time {
	for _, s := range steps {
		at = at.Add(time.Second)
		l.event(grace.Event{Step: s, Time: at, Took: time.Second, Counts: grace.Counts{Moved: 5, Drained: 3, Cut: 2}})
	}
	return at
}

// TestLedger: who notes what, and that it is noted once, through handovers that end in every way.
func TestLedger(t *testing.T) {
	at := time.Now()
	first := newLedger()
	at = steps(first, at, grace.StepAccepting, grace.StepSpawned, grace.StepGreeted, grace.StepRolledBack) // never ready
	at = steps(first, at, grace.StepSpawned, grace.StepGreeted, grace.StepReleasing, grace.StepStandby, grace.StepMoving)
	second := newLedger()
	second.follow(first.sum(sourceRecord{}))
	second.event(grace.Event{Step: grace.StepAccepting, Time: at})
	second.active()
	at = steps(first, at, grace.StepCommitted, grace.StepDrained)
	want := func(when string, l *ledger, phase map[string]uint64, outcomes map[string]uint64) {
		t.Helper()
		got := l.sum(sourceRecord{})
		for _, name := range phases {
			if got.Phases[name].Count != phase[name] {
				t.Errorf("%s: %s was noted %d times, want %d", when, name, got.Phases[name].Count, phase[name])
			}
		}
		for _, name := range handoverOutcomes {
			if got.Handovers[name] != outcomes[name] {
				t.Errorf("%s: %d %s, want %d", when, got.Handovers[name], name, outcomes[name])
			}
		}
	}
	want("before the predecessor's end", second, map[string]uint64{phaseStart: 2, phaseReady: 1}, map[string]uint64{handoverCommitted: 1, handoverRolledBack: 1})
	second.follow(first.sum(sourceRecord{}))
	want("after it", second, map[string]uint64{phaseStart: 2, phaseReady: 1, phaseProbation: 1, phaseDrain: 1}, map[string]uint64{handoverCommitted: 1, handoverRolledBack: 1})
	if c := second.sum(sourceRecord{}).Connections; c[fateMoved] != 5 || c[fateDrained] != 3 || c[fateCut] != 2 {
		t.Errorf("connections %v", c)
	}
	if d := first.sum(sourceRecord{}).Phases[phaseReady]; d.Sum != 2 {
		t.Errorf("ready took %v s, want 2: releasing is a part of it", d.Sum)
	}

	// An update, whose successor dies while this process drains; then the service is stopped, which is no drain of a handover.
	steps(second, at, grace.StepSpawned, grace.StepGreeted, grace.StepStandby)
	second.committing()
	steps(second, time.Now(), grace.StepCommitted, grace.StepResurrected, grace.StepDrained)
	want("resurrected", second, map[string]uint64{phaseStart: 3, phaseReady: 2, phaseProbation: 2, phaseCommit: 1, phaseDrain: 1},
		map[string]uint64{handoverCommitted: 1, handoverRolledBack: 1, handoverResurrected: 1})
}

// heir is a predecessor without a process.
type heir struct{ start, standby, end chan record }

func (h heir) take(ctx context.Context, from chan record) (record, bool) {
	select {
	case r, ok := <-from:
		return r, ok
	case <-ctx.Done():
		return record{}, false
	}
}
func (h heir) AtStart(ctx context.Context) (record, bool)   { return h.take(ctx, h.start) }
func (h heir) AtStandby(ctx context.Context) (record, bool) { return h.take(ctx, h.standby) }
func (h heir) AtEnd(ctx context.Context) (record, bool)     { return h.take(ctx, h.end) }

// TestInherits: each round brings more, one that is missing takes nothing away, and a scrape waits for the second, for a while.
func TestInherits(t *testing.T) {
	committed := func(n uint64, parked time.Time) record {
		r := newRecord()
		r.Handovers[handoverCommitted], r.Parked = n, parked
		return r
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		from := heir{make(chan record), make(chan record), make(chan record)}
		go l.inherit(t.Context(), from)
		has := func(want uint64) {
			t.Helper()
			synctest.Wait()
			if got := l.sum(sourceRecord{}).Handovers[handoverCommitted]; got != want {
				t.Errorf("%d, want %d", got, want)
			}
		}
		from.start <- committed(3, time.Time{})
		has(3)
		now := time.Now()
		l.event(grace.Event{Step: grace.StepAccepting, Time: now})
		select {
		case <-l.carried:
			t.Error("a scrape would not wait")
		default:
		}
		from.standby <- committed(4, now.Add(-time.Second))
		has(4)
		<-l.carried
		if gap, ok := l.handoverGap(); gap != time.Second || !ok {
			t.Errorf("gap %s, %v", gap, ok)
		}
		close(from.end) // it died
		has(4)

		overlap := newLedger()
		overlap.event(grace.Event{Step: grace.StepAccepting, Time: now})
		overlap.measureGap(now.Add(time.Millisecond))
		if gap, ok := overlap.handoverGap(); gap != 0 || !ok {
			t.Errorf("both accepted: gap %s, %v", gap, ok)
		}
		if _, ok := newLedger().handoverGap(); ok {
			t.Error("a gap without a handover")
		}
	})
}

// TestScrapeWaits for what the predecessor had, but not for ever.
func TestScrapeWaits(t *testing.T) {
	b := newBench(t, Service{})
	b.p.generation = 2
	b.r.metrics = newMetrics(b.r)
	begun := time.Now()
	w := httptest.NewRecorder()
	b.r.metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if took := time.Since(begun); took < carryPatience || w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "hello_generation 2") {
		t.Errorf("%d after %s: %s", w.Code, took, w.Body)
	}
}

// TestOpsListeners: what they answer, in plain text though the Service speaks TLS, or in TLS where that is asked for.
func TestOpsListeners(t *testing.T) {
	b := newBench(t, Service{TLS: borrowedTLS(t), Ops: []string{"127.0.0.1:0", "https://127.0.0.1:0"}})
	b.start()
	ops := b.r.Status().Ops
	if i := slices.IndexFunc(b.p.opened, func(s grace.Socket) bool { return s.Name == opsName }); i < 0 || b.p.opened[i].Held || len(ops) != 2 {
		t.Fatalf("sockets %+v, ops %v", b.p.opened, ops)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, base := range []string{"http://" + ops[0], "https://" + ops[1]} {
		for path, want := range map[string]string{"/metrics": "hello_ready 1\n", "/livez": "ok\n", "/readyz?verbose": "[+]health ok\n"} {
			res, err := c.Get(base + path)
			if err != nil {
				t.Error(err)
				continue
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				t.Errorf("%s%s: %s %q", base, path, res.Status, body)
			}
		}
	}
	if err := b.finish(); err != nil {
		t.Error(err)
	}
	for _, ops := range [][]string{{"localhost"}, {"https://:0"}, {"127.0.0.1:9090", "127.0.0.1:9090"}} {
		if _, err := (Service{Handler: http.NotFoundHandler(), Ops: ops}).filled(); err == nil {
			t.Errorf("%v is taken", ops)
		}
	}
}

// borrowedTLS is the certificate of net/http/httptest, in files.
func borrowedTLS(t *testing.T) TLS {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for file, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, files.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// BenchmarkScrape is what one costs, the collectors of Go and the process with it.
func BenchmarkScrape(b *testing.B) {
	r := newRunner(Service{Name: "hello", Version: "1.0.0", Logger: slog.New(slog.DiscardHandler), HealthInterval: time.Second})
	p := newFakeProcess(b.TempDir())
	r.p = p
	m := newMetrics(r)
	b.ReportAllocs()
	for b.Loop() {
		m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
}
