//go:build unix

package cmd_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moult-go/moult/release"
)

// patience bounds every wait of a story.
const patience = 20 * time.Second

// builds are the executables of the stories: cmd/app as several versions, good and bad, and cmd/moult.
var builds = []struct{ name, pkg, version, tags string }{
	{"1.0.0", "app", "1.0.0", ""},
	{"2.0.0", "app", "2.0.0", ""},
	{"3.0.0", "app", "3.0.0", ""},
	{"dev", "app", "dev", ""},
	{"1.0.0-skewed", "app", "1.0.0", "skewed"},
	{"1.0.0-motley", "app", "1.0.0", "motley"},
	{"2.0.0-exits", "app", "2.0.0", "exits"},
	{"2.0.0-hangs", "app", "2.0.0", "hangs"},
	{"2.0.0-mute", "app", "2.0.0", "mute"},
	{"2.0.0-crashy", "app", "2.0.0", "crashy"},
	{"2.0.0-cold", "app", "2.0.0", "cold"},
	{"3.0.0-cold", "app", "3.0.0", "cold"},
	{"moult", "moult", "1.0.0", ""},
}

// temporary are directories that are removed at the end.
var temporary []string

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "moult-stories-")
	if err != nil {
		return "", err
	}
	temporary = append(temporary, dir)
	for _, b := range builds {
		out, err := exec.Command("go", "build", "-tags", b.tags, "-o", filepath.Join(dir, b.name),
			"-ldflags", "-s -w -X main.version="+b.version, "./"+b.pkg).CombinedOutput()
		if err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", b.name, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // nobody said otherwise
		flag.Set("test.parallel", "4") // a story waits most of the time
	}
	code := m.Run()
	for _, dir := range temporary {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// TestStories runs testdata/script: one promise a file. Beside testscript's own commands there are:
//
//	keys                     a minisign key pair: key.key and key.pub
//	install VERSION          the executable of that build to opt/app
//	drop VERSION [as=V] [platform=P] [unsigned] [wrongly-signed] [truncated] [other-machine]   to drop/app, with its signature
//	serve [NAME=VALUE] ARG…  starts opt/app serve on $addr in the background, with the log in the file log; waits until it serves
//	instance NAME            what follows is about another server of the same executable, with its log in log-NAME
//	load                     clients that never retry
//	lost N                   ends the load: at most N requests were lost
//	serves VERSION           waits until that version answers
//	log REGEXP               waits until the log has a line like this
//	exits CODE COMMAND ARG…  runs a program that must end with exactly this code
//	signal NAME              sends a signal to the process that serves
//	alone                    waits until one process of each server is left
//	terminate                sends TERM to the oldest process of the line and waits until none is left (stop is testscript's own, and ends the script)
//	killall, killfirst       kill -9, of all processes or of the first
//	killoldest, killlast     kill -9, of the oldest process that is left or of the youngest
//	servefeed DIR            serves a feed with cmd/app, on $feed
//	forge TAG VERSION        publishes that build on a forge like Gitea, on $forge, in an archive with signed checksums
//	supervise ARG…           starts the server like serve, and again whenever it is gone, until unsupervise or the end; does not wait
//	started N                the supervisor has started N processes, and the last of them serves
//	age DIR DURATION         a feed whose publisher last signed it so long ago
//	skew DURATION            the clock of 1.0.0-skewed is wrong by it from now on
//	spoil, unlink PATTERN    change a byte of files, or remove them
//	restore                  puts all of those back
func TestStories(t *testing.T) {
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("..", "testdata", "script"),
		Setup: func(e *testscript.Env) error {
			addr, err := freeAddress()
			if err != nil {
				return err
			}
			e.Setenv("addr", addr)
			e.Setenv("bin", bin)
			e.Setenv("closed", closedWindow(time.Now()))
			e.Setenv("PATH", filepath.Join(e.WorkDir, "opt")+":"+bin+":"+os.Getenv("PATH"))
			first := &served{addr: addr, log: "log"}
			e.Values["story"] = &story{dir: e.WorkDir, bin: bin, served: first, all: []*served{first}, originals: map[string][]byte{}}
			for _, d := range []string{"opt", "drop", "www"} {
				if err := os.MkdirAll(filepath.Join(e.WorkDir, d), 0o755); err != nil {
					return err
				}
			}
			e.Defer(e.Values["story"].(*story).end)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"keys": command((*story).keys), "install": command((*story).install), "drop": command((*story).drop),
			"serve": command((*story).serve), "instance": command((*story).instance), "load": command((*story).startLoad), "lost": command((*story).lost),
			"serves": command((*story).serves), "log": command((*story).logs), "exits": command((*story).exits),
			"signal": command((*story).signal), "alone": command((*story).alone), "terminate": command((*story).terminate),
			"killall": command((*story).killAll), "killfirst": command((*story).killFirst), "killoldest": command((*story).killOldest), "killlast": command((*story).killLast), "servefeed": command((*story).serveFeed), "forge": command((*story).forge),
			"supervise": command((*story).supervise), "unsupervise": command((*story).unsupervise), "started": command((*story).started),
			"spoil": command((*story).spoil), "unlink": command((*story).unlink), "restore": command((*story).restore),
			"age": command((*story).age), "skew": command((*story).skew),
		},
	})
}

// closedWindow is one that is not open now, nor in the next hours.
func closedWindow(now time.Time) string {
	return now.UTC().Add(12*time.Hour).Format("15:04") + " 1m"
}

// story is one script under way.
type story struct {
	dir, bin  string
	*served   // the server that the words are about
	all       []*served
	originals map[string][]byte // of files that the story spoiled or took away
}

func command(f func(*story, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("! is not for this command")
		}
		ts.Check(f(ts.Value("story").(*story), ts, args))
	}
}

// end kills whatever the story has started.
func (s *story) end() {
	for _, one := range s.all {
		if one.load != nil {
			one.load.Stop()
		}
		if one.supervisor != nil {
			one.supervisor.stop()
		}
	}
	until(func() bool {
		for _, pid := range s.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(s.pids()) == 0
	})
	for _, one := range s.all {
		if one.cmd != nil {
			one.cmd.Wait()
		}
	}
}

func (s *story) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

func (s *story) keys(*testscript.TestScript, []string) error {
	return s.run("moult", "minisign", "keygen", "--out", "key", "--plaintext-key")
}

func (s *story) install(_ *testscript.TestScript, args []string) error {
	return copyFile(filepath.Join(s.bin, args[0]), filepath.Join(s.dir, "opt", "app"), nil)
}

func (s *story) drop(_ *testscript.TestScript, args []string) error {
	file := filepath.Join(s.dir, "drop", "app")
	version, _, _ := strings.Cut(args[0], "-")
	platform, key := "linux/amd64", "key"
	var change func([]byte) []byte
	unsigned, truncated := false, false
	for _, a := range args[1:] {
		switch name, value, _ := strings.Cut(a, "="); name {
		case "as":
			version = value
		case "platform":
			platform = value
		case "unsigned":
			unsigned = true
		case "truncated":
			truncated = true
		case "wrongly-signed":
			key = "other"
			if err := s.run("moult", "minisign", "keygen", "--out", key, "--plaintext-key"); err != nil {
				return err
			}
		case "other-machine": // the same file, for arm64 by its header
			change = func(b []byte) []byte { b[18], b[19] = 0xb7, 0; return b }
		default:
			return fmt.Errorf("drop: unknown word %q", a)
		}
	}
	source := filepath.Join(s.bin, args[0])
	if strings.Contains(args[0], "/") {
		source = filepath.Join(s.dir, args[0])
		version = "2.0.0"
	}
	os.Remove(file + ".minisig")
	if err := copyFile(source, file, change); err != nil || unsigned {
		return err
	}
	if err := s.sign(file, key, version, platform); err != nil || !truncated {
		return err
	}
	return os.Truncate(file, 1_000_000)
}

// sign does without the checks of "moult minisign sign", which would refuse the files of some stories.
func (s *story) sign(file, key, version, platform string) error {
	d, _, err := release.DigestFile(file)
	if err != nil {
		return err
	}
	p, err := release.ParsePlatform(platform)
	if err != nil {
		return err
	}
	private, err := os.ReadFile(filepath.Join(s.dir, key+".key"))
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sig, err := release.SignMinisign(string(private), "", f,
		release.TrustedComment{App: "app", Version: release.MustParseVersion(version), Platform: p, SHA256: d})
	if err != nil {
		return err
	}
	return os.WriteFile(file+".minisig", sig, 0o600)
}

func (s *story) exits(ts *testscript.TestScript, args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		return err
	}
	if got != want {
		return fmt.Errorf("exit status %d, want %d; log:\n%s", got, want, s.logged())
	}
	return nil
}

func until(cond func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // between two looks
		if cond() {
			return true
		}
	}
	return false
}

// freeAddress returns a loopback address that nothing listens on, below the ports that the kernel gives to clients.
func freeAddress() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", errors.New("no port is free")
}

// copyFile lets no other story fork while the file is open for writing: that child would hold it for a moment, and who starts the
// file then finds it busy (golang/go#22315).
func copyFile(from, to string, change func([]byte) []byte) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if change != nil {
		b = change(b)
	}
	os.Remove(to)
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, b, 0o755)
}
