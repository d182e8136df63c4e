//go:build unix

package grace_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace"
)

func init() { programs["plan"] = planProgram }

// planProgram does, line by line, what the file "plan" says at its start, and so may each generation:
//
//	open NETWORK ADDRESS [NAME]   through the Process
//	listen NETWORK ADDRESS        behind its back
//	file NAME, lock NAME          append a line to the file of this name; lock it
//	pipe NAME                     the same is a pipe
//	helper NAME                   let a shell write its descriptors and environment to NAME
//	chdir DIR, umask MODE, close FD, reuse FD
//	die FILE                      as soon as there is a file of this name, once it is ready
//
// "forget", as the first line, removes the executable before New. When it is ready it writes its addresses, one a
// line, to the file "addrs.GENERATION".
func planProgram() {
	home, err := os.Getwd()
	if err != nil {
		log.Fatal(err)
	}
	b, err := os.ReadFile("plan")
	if err != nil {
		log.Fatal(err)
	}
	plan := strings.Split(strings.TrimSpace(string(b)), "\n")
	if plan[0] == "forget" {
		exe, _ := os.Executable()
		os.Remove(exe)
		plan = plan[1:]
	}
	p, err := grace.New(grace.Options{
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Probation:    envDuration("GRACE_TEST_PROBATION", 300*time.Millisecond),
		DrainTimeout: 10 * time.Second,
		StayParent:   stayOf(os.Getenv("GRACE_TEST_STAY")),
	})
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
	mux := planHandler(p, home)
	var addrs []string
	omen := ""
	for _, line := range plan {
		word := append(strings.Fields(line), "", "", "")
		switch word[0] {
		case "open":
			ln, err := p.Open(grace.Socket{Network: word[1], Address: word[2], Name: word[3]})
			if err != nil {
				log.Print(err)
				p.Stop()
				p.Wait(context.Background())
				os.Exit(1)
			}
			addrs = append(addrs, ln.Addr().String())
			go p.Serve(&http.Server{Handler: mux}, ln)
		case "listen":
			if _, err := net.Listen(word[1], word[2]); err != nil {
				log.Print(err)
			}
		case "file":
			f, err := p.File(word[1], func() (*os.File, error) {
				return os.OpenFile(filepath.Join(home, word[1]), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			})
			if err != nil {
				log.Fatal(err)
			}
			fmt.Fprintf(f, "generation %d\n", p.Generation())
		case "lock":
			f, _ := p.File(word[1], nil)
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				log.Fatal(err)
			}
		case "pipe":
			f, err := p.File(word[1], func() (*os.File, error) {
				r, w, err := os.Pipe()
				precious = w
				return r, err
			})
			if err != nil {
				log.Fatal(err)
			}
			mux.HandleFunc("/nonblocking", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, nonBlocking(f)) })
		case "helper":
			helper(filepath.Join(home, word[1]))
		case "chdir":
			if err := os.Chdir(word[1]); err != nil {
				log.Fatal(err)
			}
		case "umask":
			mode, _ := strconv.ParseInt(word[1], 8, 32)
			syscall.Umask(int(mode))
		case "close":
			[]*os.File{os.Stdin, os.Stdout, os.Stderr}[atoiOrDie(word[1])].Close()
		case "reuse": // as a program may that opens a file after it has closed a standard one
			f, err := os.Create(filepath.Join(home, "precious"))
			if err != nil || f.Fd() != uintptr(atoiOrDie(word[1])) {
				log.Fatalf("got descriptor %d, %v", f.Fd(), err)
			}
			precious = f
		case "die":
			omen = word[1]
		case "":
		default:
			log.Fatalf("plan: %q", line)
		}
	}
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile(filepath.Join(home, fmt.Sprintf("addrs.%d", p.Generation())), []byte(strings.Join(addrs, "\n")+"\n"), 0o600)
	if omen != "" {
		go func() { // ends with the process
			for {
				if _, err := os.Stat(filepath.Join(home, omen)); err == nil {
					os.Exit(5)
				}
				time.Sleep(2 * time.Millisecond) // between two looks
			}
		}()
	}
	p.Wait(context.Background())
}

var precious *os.File // keeps the collector from closing it

// planHandler answers on every listener of planProgram.
func planHandler(p *grace.Process, home string) *http.ServeMux {
	var helpers sync.Mutex
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/generation", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, p.Generation()) })
	mux.HandleFunc("/fds", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, openFiles()) })
	mux.HandleFunc("/tight", func(http.ResponseWriter, *http.Request) { // no descriptor more for this process
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: 3}); err != nil {
			log.Fatal(err)
		}
	})
	mux.HandleFunc("/helper", func(w http.ResponseWriter, r *http.Request) {
		helpers.Lock()
		defer helpers.Unlock()
		helper(filepath.Join(home, r.FormValue("name")))
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		path := r.FormValue("path")
		if path == "" {
			path = p.InstallPath()
		}
		if err := p.Handover(r.Context(), path, nil); err != nil {
			fmt.Fprint(w, err)
			return
		}
		fmt.Fprint(w, "ok")
	})
	return mux
}

func nonBlocking(f *os.File) (yes bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		yes = err == nil && flags&unix.O_NONBLOCK != 0
	})
	return yes
}

// helper lets a process of somebody else's say what it got: its descriptors but the one of the listing, its environment,
// and its limits of descriptors.
func helper(name string) {
	cmd := exec.Command("/bin/sh", "-c", `
		for fd in /proc/self/fd/*; do [ -e "$fd" ] && echo "fd ${fd##*/} $(readlink "/proc/$$/fd/${fd##*/}")"; done
		tr '\0' '\n' </proc/$$/environ | sed 's/^/env /'
		echo "limit $(ulimit -Sn) $(ulimit -Hn)"`)
	out, err := cmd.Output()
	if err != nil {
		log.Fatalf("helper: %v", err)
	}
	if err := os.WriteFile(name, out, 0o600); err != nil {
		log.Fatal(err)
	}
}

// descriptors lists those in a helper's words.
func descriptors(words string) (list []string) {
	for line := range strings.Lines(words) {
		if strings.HasPrefix(line, "fd ") {
			list = append(list, strings.Fields(line)[1])
		}
	}
	return list
}

// usualDescriptors is what every process gets that this test starts: 0 to 2, and what whoever started it has left open.
func usualDescriptors(t *testing.T) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "usual")
	helper(name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return descriptors(string(b))
}

// among reports whether every element of list is one of set.
func among(list, set []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(set, s) })
}

func atoiOrDie(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// startPlan starts generation 1 of planProgram; by cmd if that is not nil, whose Env is added to ours.
func startPlan(t testing.TB, dir string, cmd *exec.Cmd, plan ...string) *server {
	t.Helper()
	(&server{t: t, dir: dir}).plan(plan...)
	if cmd == nil {
		cmd = exec.Command(executable(t))
	}
	return launch(t, dir, cmd, "plan", cmd.Env...)
}

func executable(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// plan says what the next generation is to do.
func (s *server) plan(lines ...string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "plan"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// addrs waits until a generation is ready, and returns its addresses.
func (s *server) addrs(generation int) []string {
	s.t.Helper()
	return strings.Fields(s.file(fmt.Sprintf("addrs.%d", generation)))
}

// upgradeAt hands over from generation g, and waits until the next one serves.
func (s *server) upgradeAt(addr string) {
	s.t.Helper()
	if got := s.askAt(addr, "/upgrade"); got != "ok" {
		s.t.Fatalf("verdict %q", got)
	}
}

// askAt makes a request to a TCP address or, if it has a slash or an @, to a Unix one.
func (s *server) askAt(addr, path string) string {
	s.t.Helper()
	body, err := getAt(addr, path)
	if err != nil {
		s.t.Fatal(err)
	}
	return body
}

func getAt(addr, path string) (string, error) {
	if !strings.ContainsAny(addr, "/@") {
		return get(addr, path)
	}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", addr)
	}}
	res, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Get("http://unix" + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
