package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDocs types every page of docs, and the README, into a shell, in a directory of its own, and compares what it shows with what is printed.
// See block for what a page is made of. The names that pages use stand for things of this machine, the same ones through the page:
//
//	localhost:8080, :9000    a free port
//	/opt /srv /media /tmp/moult   directories below the page's own
//	https://example.com/     what lies in /srv/www
//	s3://                    a directory (TestBucket has a real S3 server)
//	$HOME/moult              this module
//
// moult is on the PATH. In a page's setup there are also the commands
//
//	build VERSION FILE [fault]   makes the executable of testdata/hello
//	module DIR                   makes a module of a directory of programs that imports this one
//
// A page with the comment <!-- long: WHY --> is run with MOULT_PROMISES=full only; one with <!-- needs: PROGRAM… --> where these are installed.
func TestDocs(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		list, err := blocks(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if generated(page) || strings.Contains(string(text), "\n<!-- run by ") || !runs(list) {
			continue
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(page, "../"), "docs/"), ".md"), func(t *testing.T) {
			if why := regexp.MustCompile(`(?m)^<!-- long: (.*) -->$`).FindSubmatch(text); why != nil && os.Getenv("MOULT_PROMISES") != "full" {
				t.Skipf("only with MOULT_PROMISES=full: %s", why[1])
			}
			if needs := regexp.MustCompile(`(?m)^<!-- needs: (.*) -->$`).FindSubmatch(text); needs != nil {
				for _, program := range strings.Fields(string(needs[1])) {
					if _, err := exec.LookPath(program); err != nil {
						t.Skip(err)
					}
				}
			}
			tools, err := buildTools()
			if err != nil {
				t.Fatal(err)
			}
			typePage(t, list, tools)
		})
	}
}

// runs tells if anything of a page is typed.
func runs(list []block) bool {
	for _, b := range list {
		if b.lang == "sh" && b.mark == "" {
			return true
		}
	}
	return false
}

// buildTools makes a directory with what pages find on their PATH.
var buildTools = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "moult-docs-")
	if err != nil {
		return "", err
	}
	temporary = append(temporary, dir)
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "moult"), "./moult").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build moult: %w\n%s", err, out)
	}
	return dir, nil
})

// preamble is what the shell of a page begins with. $1 of started is a process; it may be a shell whose child is the server.
const preamble = `set -euo pipefail
build() { go build -C "$MODULE/cmd/testdata/hello" -ldflags "-s -w -X main.version=$1 -X main.fault=${3:-}" -o "$PWD/$2" .; }
module() { (cd "$1" && go mod init example.com/hello && go mod edit -replace "github.com/moult-go/moult=$MODULE" && go mod tidy); }
started() {
	for _ in {1..400}; do
		[ -d /proc/$1 ] || return 0
		for p in $1 $(cat /proc/$1/task/*/children 2>/dev/null); do
			for inode in $(ls -l /proc/$p/fd 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\].*/\1/p'); do
				if grep -qE "^ *[0-9]+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ 0A .* $inode " /proc/net/tcp /proc/net/tcp6; then return 0; fi
			done
		done
		sleep 0.05
	done
	echo "nothing listens after 20 s"; return 1
}
`

// typePage makes one script of a page and runs it. What each block prints goes to a file of its own: a server may keep that open.
func typePage(t *testing.T, list []block, tools string) {
	module, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	s := newStage(t, dir, module)
	var script strings.Builder
	script.WriteString(preamble)
	for i, b := range list {
		if b.mark != "" {
			continue
		}
		switch name := b.file(); {
		case b.lang == "sh":
			fmt.Fprintf(&script, "exec >%s/%d 2>&1\n", out, i)
			for line := range strings.Lines(s.real(b.text)) {
				script.WriteString(line)
				if regexp.MustCompile(`[^&\\]&\s*(#.*)?$`).MatchString(line) {
					script.WriteString("started $!\n")
				}
			}
		case name != "":
			fmt.Fprintf(&script, "mkdir -p %s\ncat >%s <<'END OF FILE'\n%sEND OF FILE\n", filepath.Dir(s.real(name)), s.real(name), s.real(b.text))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.Env = dir, append(environment(t), "HOME="+dir, "MODULE="+module, "PATH="+tools+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() { killBelow(t, dir) })
	err = cmd.Run()
	last := -1
	show := func(i int) {
		if printed, err := os.ReadFile(fmt.Sprintf("%s/%d", out, i)); err == nil && testing.Verbose() {
			t.Logf("line %d:\n%s", list[i].line, printed)
		}
	}
	for i, b := range list {
		_, missing := os.Stat(fmt.Sprintf("%s/%d", out, i))
		if missing == nil {
			last = i
			show(i)
		}
		if b.lang != "text" || b.mark != "" || i > last+1 {
			continue
		}
		if printed, _ := os.ReadFile(fmt.Sprintf("%s/%d", out, i-1)); !shows(s.real(b.text), string(printed)) {
			t.Errorf("line %d shows\n%s\nand this was printed:\n%s", b.line, s.real(b.text), printed)
		}
	}
	if err != nil {
		printed, _ := os.ReadFile(fmt.Sprintf("%s/%d", out, last))
		logs, _ := exec.Command("sh", "-c", "cd "+dir+" && tail -n 20 *log */*log 2>/dev/null").Output()
		t.Errorf("%v in the block of line %d, which printed\n%s\n%s", err, list[max(last, 0)].line, printed, logs)
	}
}

// environment is what a page needs of ours: where Go keeps its things, and no variable that a program of a page would read.
func environment(t *testing.T) []string {
	t.Helper()
	env := []string{"LANG=C.UTF-8", "USER=hello", "GOFLAGS=" + os.Getenv("GOFLAGS"), "GOTOOLCHAIN=local"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// stage knows what the names of a page stand for.
type stage struct {
	t           *testing.T
	dir, module string
	ports       map[string]string
	example     string // URL of the server of /srv/www
}

func newStage(t *testing.T, dir, module string) *stage {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(filepath.Join(dir, "srv/www"))), ReadHeaderTimeout: patience}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return &stage{t: t, dir: dir, module: module, ports: map[string]string{}, example: "http://" + ln.Addr().String()}
}

// real is text with what its names stand for.
func (s *stage) real(text string) string {
	text = regexp.MustCompile(`(localhost|127\.0\.0\.1|\*|[\s"'/=])?:([89]\d{3})\b`).ReplaceAllStringFunc(text, func(m string) string {
		host, port := m[:len(m)-4], m[len(m)-4:]
		if s.ports[port] == "" {
			addr, err := freeAddress()
			if err != nil {
				s.t.Fatal(err)
			}
			_, s.ports[port], _ = net.SplitHostPort(addr)
		}
		return host + s.ports[port]
	})
	text = strings.ReplaceAll(text, "$HOME/moult", s.module)
	text = regexp.MustCompile(`https://example\.com\b`).ReplaceAllLiteralString(text, s.example)
	text = strings.ReplaceAll(text, "s3://", s.dir+"/s3/")
	return regexp.MustCompile(`(^|[\s"'=:({>])/(opt|srv|media|tmp/moult)\b`).ReplaceAllString(text, "${1}"+s.dir+"/$2")
}

// killBelow ends what a page has left: everything that runs in its directory, or from it.
func killBelow(t *testing.T, dir string) {
	left := func() (n int) {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			cwd, _ := os.Readlink("/proc/" + e.Name() + "/cwd")
			exe, _ := os.Readlink("/proc/" + e.Name() + "/exe")
			if err == nil && pid != os.Getpid() && (strings.HasPrefix(cwd+"/", dir+"/") || strings.HasPrefix(exe, dir+"/")) {
				syscall.Kill(pid, syscall.SIGKILL)
				n++
			}
		}
		return n
	}
	if !until(func() bool { return left() == 0 }) {
		t.Error("processes of the page are left")
	}
}
