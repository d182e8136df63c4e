//go:build unix

package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
)

// buildMetered builds testdata/metered as two versions.
var buildMetered = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "metered")
	if err != nil {
		return "", err
	}
	builtDir = dir
	for _, version := range []string{"1.0.0", "2.0.0"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, version), "-ldflags", "-s -w -X main.version="+version, "./testdata/metered").CombinedOutput()
		if err != nil {
			return dir, fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	return dir, nil
})

// metered is a running server of testdata/metered, over all its generations.
type metered struct {
	t            *testing.T
	dir          string
	admin        string // path of the socket
	public, ops  string // addresses
	firstProcess *exec.Cmd
	crashes      atomic.Bool // requests may be lost
}

func startMetered(t *testing.T) *metered {
	t.Helper()
	bin, err := buildMetered()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "md") // short, as the path of a Unix socket must be
	if err != nil {
		t.Fatal(err)
	}
	m := &metered{t: t, dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "offer"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.copy(filepath.Join(bin, "1.0.0"), "metered")
	m.firstProcess = exec.Command(filepath.Join(dir, "metered"))
	m.firstProcess.Dir = dir
	m.firstProcess.Env = append(os.Environ(), "TMPDIR="+dir, "RUNTIME_DIRECTORY=")
	if err := m.firstProcess.Start(); err != nil {
		t.Fatal(err)
	}
	go m.firstProcess.Wait() // ends with it; a successor outlives it
	t.Cleanup(m.end)
	m.eventually("an instance", func() bool {
		list, _ := admin.Instances(filepath.Join(dir, ".metered.d"))
		if len(list) == 1 {
			m.admin = list[0].Admin
		}
		return len(list) == 1
	})
	st := m.status()
	m.public, m.ops = st.Listen[0], st.Ops[0]
	return m
}

// end stops whoever serves, and everybody with it.
func (m *metered) end() {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) { // between two looks
		list, _ := admin.Instances(filepath.Join(m.dir, ".metered.d"))
		if len(list) == 0 {
			break
		}
		syscall.Kill(list[0].PID, syscall.SIGTERM)
		time.Sleep(1100 * time.Millisecond) // a second one a second later stops at once
	}
	m.firstProcess.Process.Kill()
	if m.t.Failed() {
		b, _ := os.ReadFile(filepath.Join(m.dir, "log"))
		m.t.Logf("%s", b)
	}
	os.RemoveAll(m.dir)
}

func (m *metered) copy(from, to string) {
	m.t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.dir, to), b, 0o755)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *metered) offer(version string) {
	bin, err := buildMetered()
	if err != nil {
		m.t.Fatal(err)
	}
	m.copy(filepath.Join(bin, version), "offer/"+version)
}

func (m *metered) status() admin.Status {
	m.t.Helper()
	st, err := client.New(m.admin).Status(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

func (m *metered) eventually(what string, is func() bool) {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			m.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// hold opens a connection that does not end by itself.
func (m *metered) hold() net.Conn {
	m.t.Helper()
	c, err := net.Dial("tcp", m.public)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nhere\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "here\n" {
		m.t.Fatalf("hold: %q, %v", line, err)
	}
	return c
}

// get returns what an operations listener, or the admin socket, answers.
func (m *metered) get(c *http.Client, path string, header ...string) (*http.Response, []byte) {
	m.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+m.ops+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil && m.crashes.Load() { // that one was lost with the process
		res, err = c.Do(req)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return res, body
}

// overAdmin is a client of the admin socket.
func (m *metered) overAdmin() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", m.admin)
		}}}
}

// fresh is a client with a connection of its own for each request: it meets whoever accepts.
var fresh = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

// scrapes what the operations listener has, and checks it as every scrape must be.
func (m *metered) scrape() scrape { m.t.Helper(); return m.scrapeBy(fresh) }

func (m *metered) scrapeBy(c *http.Client) scrape {
	m.t.Helper()
	res, text := m.get(c, "/metrics")
	if res.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %s", res.Status, text)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		m.t.Fatalf("%v in\n%s", err, text)
	}
	s := scrape{m.t, text, all}
	s.lint()
	return s
}

// labels are all that a metric may have.
var labels = map[string][]string{
	"metered_build_info":                     {"version", "revision", "goversion"},
	"metered_upgrade_attempts_total":         {"outcome"},
	"metered_handovers_total":                {"outcome"},
	"metered_handover_connections_total":     {"fate"},
	"metered_upgrade_phase_duration_seconds": {"phase"},
	"metered_feed_expiry_timestamp_seconds":  {"role"},
	"go_info":                                {"version"}, // of Go
	"go_gc_duration_seconds":                 {},
}

// watch scrapes all the time, until stop, which fails the test if a counter ever fell: a monitoring system would count it anew.
func (m *metered) watch() (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		last := m.scrape()
		for {
			select {
			case <-end:
				return
			case <-time.After(2 * time.Millisecond):
			}
			next := m.scrape()
			if f := falls(last, next); len(f) > 0 {
				m.t.Errorf("generation %v, then %v: %v", last.value("generation"), next.value("generation"), f)
			}
			last = next
		}
	}()
	return func() { close(end); <-done }
}

// TestMetricsOfARealServer: before, on probation, while the predecessor drains, afterwards, and when a successor has crashed, a scrape of the operations
// listener says what is going on; no counter ever falls; and what is documented is what is there.
func TestMetricsOfARealServer(t *testing.T) {
	t.Parallel()
	m := startMetered(t)
	stop := m.watch()
	defer func() { stop() }()
	kept := &http.Client{Transport: &http.Transport{}} // as Prometheus has it: one connection, which moves
	cl := client.New(m.admin)
	var first scrape // the socket is there a little before the updates begin
	m.eventually("the updates", func() bool { first = m.scrapeBy(kept); return first.value("updates_on") == 1 })
	first.wants("at first", map[string]float64{
		"generation": 1, "ready": 1, "probation": 0, "draining_generations": 0, "draining_connections": 0, "draining_since_timestamp_seconds": -1,
		"updates_on": 1, "update_available": 0, "update_held": 0, "quarantined_builds": 0, "feed_last_success_timestamp_seconds": -1,
		"upgrade_attempts_total committed": 0, "upgrade_attempts_total interrupted": 0, "handovers_total committed": 0, "last_upgrade_successful": -1,
		"upgrade_phase_duration_seconds drain": 0, "handover_gap_seconds": -1, "last_restart_successful": 1,
	})
	held := m.hold()
	m.offer("2.0.0")
	if _, err := cl.Check(t.Context(), admin.Request{}); err != nil {
		t.Fatal(err)
	}
	offered := m.scrapeBy(kept)
	offered.wants("with an offer", map[string]float64{"update_available": 1, "hijacked_connections": 1})
	answered := offered.value("feed_last_success_timestamp_seconds")
	if age := time.Since(time.UnixMilli(int64(answered * 1000))); age < 0 || age > time.Minute {
		t.Errorf("the source answered %s ago", age)
	}
	if at := offered.value("feed_expiry_timestamp_seconds", "timestamp"); at < float64(time.Now().AddDate(0, 0, 6).Unix()) {
		t.Errorf("the timestamp expires at %v", at)
	}

	upgraded := make(chan error, 1)
	go func() {
		_, err := cl.Upgrade(context.Background(), admin.Request{}, nil)
		upgraded <- err
	}()
	var probation scrape
	m.eventually("the successor", func() bool { probation = m.scrape(); return probation.value("generation") == 2 })
	probation.wants("on probation", map[string]float64{
		"probation": 1, "ready": 1, "handovers_total committed": 0, "upgrade_phase_duration_seconds start": 1, "upgrade_phase_duration_seconds ready": 1,
		"upgrade_phase_duration_seconds probation": 0, "update_available": 0,
	})
	if at := probation.value("feed_last_success_timestamp_seconds"); at < answered {
		t.Errorf("the successor, which has not asked, says that the source answered at %v; before it was %v", at, answered)
	}
	m.scrapeBy(m.overAdmin()).wants("of the predecessor, which has the admin socket", map[string]float64{"generation": 1, "probation": 0})
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	var draining scrape
	m.eventually("news of the predecessor", func() bool { draining = m.scrape(); return draining.value("draining_connections") == 1 })
	draining.wants("while the predecessor drains", map[string]float64{
		"generation": 2, "probation": 0, "draining_generations": 1, "upgrade_attempts_total committed": 1, "handovers_total committed": 1,
		"last_upgrade_successful": 1, "upgrade_phase_duration_seconds drain": 0,
	})
	if since := draining.value("draining_since_timestamp_seconds"); since < answered {
		t.Errorf("draining since %v", since)
	}
	if gap := draining.value("handover_gap_seconds"); gap != 0 {
		t.Errorf("nobody accepted for %v s", gap)
	}
	held.Close()
	var drained scrape
	m.eventually("the end of the predecessor", func() bool {
		drained = m.scrape() // its last figures come just before its end, and by another way
		return drained.value("upgrade_phase_duration_seconds", "drain") == 1 && drained.value("draining_generations") == 0
	})
	drained.wants("when it has drained", map[string]float64{
		"draining_generations": 0, "draining_connections": 0, "draining_since_timestamp_seconds": -1, "upgrade_phase_duration_seconds probation": 1,
		"upgrade_phase_duration_seconds commit": 1, "handover_connections_total cut": 0,
	})
	if moved := drained.value("handover_connections_total", "moved"); moved < 1 {
		t.Errorf("%v connections moved: our own is missing", moved)
	}
	if s := m.scrapeBy(kept); s.value("generation") != 2 {
		t.Errorf("over the connection of before: generation %v", s.value("generation"))
	}

	m.write("crash", "")
	m.crashes.Store(true)
	syscall.Kill(m.status().PID, syscall.SIGHUP)
	var back scrape
	m.eventually("the way back", func() bool { back = m.scrape(); return back.value("last_restart_successful") == 0 })
	back.wants("after a successor that crashed", map[string]float64{
		"generation": 2, "handovers_total committed": 1, "handovers_total rolled-back": 1, "upgrade_phase_duration_seconds ready": 2,
		"upgrade_phase_duration_seconds probation": 1, "upgrade_attempts_total committed": 1, "upgrade_attempts_total rolled-back": 0,
	})

	m.write("database is down", "")
	m.eventually("illness", func() bool { return m.scrape().value("ready") == 0 })
	for base, want := range map[string]string{m.ops: "[-]database failed: connection refused\n", m.public: "[-]database failed: reason withheld\n"} {
		res, err := fresh.Get("http://" + base + "/readyz?verbose")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), want) {
			t.Errorf("readyz: %s %q", res.Status, body)
		}
	}
	if res, err := fresh.Get("http://" + m.public + "/metrics"); err != nil || res.Header.Get("Content-Type") == "" || strings.Contains(res.Header.Get("Content-Type"), "version") {
		t.Errorf("the public listener has metrics: %v, %v", res, err)
	}
	stop()
	stop = func() {}

	all := seen(first, offered, draining, drained, back)
	t.Run("documented", func(t *testing.T) { documented(t, all) })
	t.Run("alert rules and dashboard", func(t *testing.T) { known(t, all) })
	t.Run("encodings", func(t *testing.T) { m.encodings() })
}

func (m *metered) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// encodings: what a Prometheus server asks for it gets.
func (m *metered) encodings() {
	m.t.Helper()
	res, body := m.get(fresh, "/metrics", "Accept", "application/openmetrics-text;version=1.0.0", "Accept-Encoding", "gzip")
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/openmetrics-text") || res.Header.Get("Content-Encoding") != "gzip" {
		m.t.Errorf("headers %v", res.Header)
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || !bytes.HasSuffix(text, []byte("# EOF\n")) {
		m.t.Errorf("no end, %v", err)
	}
}

// row is one metric in docs/reference/metrics.md.
var row = regexp.MustCompile("(?m)^\\| `hello_([a-z_]+)(?:\\{([a-z,]+)\\})?` \\| (gauge|counter|histogram) \\| (.+) \\|$")

// documented holds docs/reference/metrics.md against what was scraped, both ways.
func documented(t *testing.T, all map[string]*dto.MetricFamily) {
	page, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, r := range row.FindAllStringSubmatch(string(page), -1) {
		rows[r[1]] = r
	}
	for name, f := range all {
		name, ours := strings.CutPrefix(name, "metered_")
		if !ours {
			continue
		}
		r := rows[name]
		if r == nil {
			t.Errorf("%s is not documented: %s", name, f.GetHelp())
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); r[3] != kind || r[2] != strings.Join(labels["metered_"+name], ",") {
			t.Errorf("%s: documented as %s{%s}, is %s%v", name, r[3], r[2], kind, labels["metered_"+name])
		}
	}
	for name := range rows {
		if all["metered_"+name] == nil {
			t.Errorf("%s is documented, and no scrape had it", name)
		}
	}
}
