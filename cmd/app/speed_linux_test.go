package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// contender is a server to measure.
type contender struct {
	name    string
	address string
	pid     int
}

// field starts ours and the bare one, as processes, and lets both warm up.
func field(t testing.TB, role, what string, ours ...[]string) (list []contender) {
	t.Helper()
	first := startAs(t, role, func(address string) []string { return []string{address, what} })
	first.name = "bare"
	list = append(list, first)
	for _, args := range ours {
		c := startApp(t, args...)
		c.name = "app serve " + strings.Join(args, " ")
		list = append(list, c)
	}
	return list
}

func startApp(t testing.TB, args ...string) contender {
	t.Helper()
	return startAs(t, "app", func(address string) []string {
		return append([]string{"serve", "--listen", address, "--state-dir", t.TempDir()}, args...)
	})
}

// startAs runs this test binary in a role, and waits until it accepts.
func startAs(t testing.TB, role string, args func(address string) []string) contender {
	t.Helper()
	address := freeAddress(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(self, args(address)...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // between two looks
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return contender{address: address, pid: cmd.Process.Pid}
		}
		if time.Now().After(end) {
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("%s does not serve: %v\n%s", role, err, b)
		}
	}
}

// requests counts how many of one kind a server answers within d, on a few kept connections. Its client does next to nothing, so
// that it is the server which is measured.
func requests(t testing.TB, address, request string, d time.Duration) int64 {
	t.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range 4 {
		wg.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReaderSize(c, 64<<10)
			for time.Now().Before(end) {
				if _, err := io.WriteString(c, request); err != nil {
					t.Error(err)
					return
				}
				if err := skipAnswer(r); err != nil {
					t.Errorf("%s: %v", address, err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load()
}

// skipAnswer reads one answer of 200 that says how long it is.
func skipAnswer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line) != "HTTP/1.1 200 OK\r\n" {
			return fmt.Errorf("answered %q", line)
		}
		if text, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(text))
		}
		if len(line) == 2 {
			break
		}
	}
	if length < 0 {
		return fmt.Errorf("no length")
	}
	_, err := r.Discard(length)
	return err
}

// shares measures all in turn, round by round, and returns for each the median of its share of what the first one did in the same round.
func shares(t testing.TB, list []contender, request string, rounds int, each time.Duration) []float64 {
	t.Helper()
	all := make([][]float64, len(list))
	var rates []string
	for round := range rounds + 1 {
		var first float64
		order := []int{}
		for i := range list {
			order = append(order, (i+round)%len(list))
		}
		got := make([]float64, len(list))
		for _, i := range order {
			got[i] = float64(requests(t, list[i].address, request, each)) / each.Seconds()
		}
		if first = got[0]; round == 0 || first == 0 {
			continue // warming up
		}
		for i := range list {
			all[i] = append(all[i], got[i]/first)
		}
		rates = append(rates, fmt.Sprintf("%.0f", first))
	}
	var medians []float64
	for i, s := range all {
		if len(s) == 0 {
			t.Fatalf("%s answered nothing", list[i].name)
		}
		slices.Sort(s)
		medians = append(medians, s[len(s)/2])
		t.Logf("%-60s %.3f (%.3f to %.3f) of the bare one", list[i].name, s[len(s)/2], s[0], s[len(s)-1])
	}
	t.Logf("the bare one, each second: %s", strings.Join(rates, " "))
	return medians
}

// oldFiles makes a directory with a.css of 1 KB and b.css of 1 MB.
func oldFiles(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	past := time.Now().Add(-time.Hour)
	for name, size := range map[string]int{"a.css": 1 << 10, "b.css": 1 << 20} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(file, past, past)
	}
	return dir
}

// TestKernelSends: a file goes from the page cache to the connection by sendfile, through the handover's wrappers and the access log.
func TestKernelSends(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	c := startApp(t, "--dir", oldFiles(t), "--access-log", filepath.Join(t.TempDir(), "access.log"))
	calls := filepath.Join(t.TempDir(), "calls")
	trace := exec.Command("strace", "-f", "-e", "trace=sendfile", "-o", calls, "-p", strconv.Itoa(c.pid))
	said, err := trace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	defer trace.Wait()
	defer trace.Process.Signal(os.Interrupt)
	if line, err := bufio.NewReader(said).ReadString('\n'); !strings.Contains(line, "attached") {
		t.Skipf("strace may not look at processes here: %s%v", line, err)
	}
	if n := requests(t, c.address, "GET /b.css HTTP/1.1\r\nHost: x\r\n\r\n", 100*time.Millisecond); n == 0 {
		t.Fatal("no answer")
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // between two looks
		if b, err := os.ReadFile(calls); err == nil && strings.Contains(string(b), "sendfile(") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no call of sendfile")
		}
	}
}

// TestSpeed: the reference server answers as many requests as a bare http.FileServer, or a bare httputil.ReverseProxy, within 10 %, with
// all that it does between. The log is beside the promise: it costs a system call of its own.
func TestSpeed(t *testing.T) {
	rounds, each, bound, logBound := 5, 60*time.Millisecond, 0.6, 0.3
	if full := os.Getenv("MOULT_PROMISES") == "full"; full {
		rounds, each, bound, logBound = 81, 50*time.Millisecond, 0.9, 0.5
	} else if raceDetector {
		t.Skip("measures the race detector")
	}
	dir := oldFiles(t)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 1<<10)) }))
	defer up.Close()
	access := filepath.Join(t.TempDir(), "access.log")
	const header = " HTTP/1.1\r\nHost: site.example\r\nUser-Agent: measure\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n"
	for _, tt := range []struct{ name, role, what, flag, request string }{
		{"1KB", "files", dir, "--dir", "GET /a.css" + header},
		{"1MB", "files", dir, "--dir", "GET /b.css" + header},
		{"proxy", "proxy", up.URL, "--proxy", "GET /x" + header},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := field(t, tt.role, tt.what, []string{tt.flag, tt.what}, []string{tt.flag, tt.what, "--access-log", access})
			var got []float64
			for range 3 { // noise of the machine is not there each time; what is slow is
				if got = shares(t, list, tt.request, rounds, each); got[1] >= bound && got[2] >= logBound {
					return
				}
			}
			t.Errorf("%.3f of the requests that a bare one answers, want %.1f; with the access log %.3f, want %.1f", got[1], bound, got[2], logBound)
		})
	}
}
