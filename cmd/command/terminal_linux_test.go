package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/server"
)

// terminal returns both ends of a pseudo terminal: the person's, and the program's.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	return person, program
}

// seen runs a command line on a terminal where a person types, and returns what the person sees.
func seen(t *testing.T, s server.Service, types string, args ...string) (code int, screen string) {
	t.Helper()
	person, program := terminal(t)
	if _, err := person.WriteString(types); err != nil {
		t.Fatal(err)
	}
	s.Name, s.Version = "hello", "1.0.0"
	root := Root(s)
	root.SetArgs(args)
	root.SetOut(program)
	root.SetErr(program)
	root.SetIn(program)
	shown := make(chan string)
	go func() { // ends when the program's end is closed
		b, err := io.ReadAll(person)
		if err != nil && !errors.Is(err, unix.EIO) {
			t.Error(err)
		}
		shown <- string(b)
	}()
	code = conclude(root, args, root.Execute())
	program.Close()
	return code, <-shown
}

// TestTerminal: questions, the bar and colour, for people.
func TestTerminal(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available}
	r.run("abc")
	s := server.Service{StateDir: r.state}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")

	code, screen := seen(t, s, "y\n", "upgrade")
	if code != 0 || !strings.Contains(screen, "Go ahead? [y/N]") || !strings.Contains(screen, "fetch 1.1.0  50%") || !strings.Contains(screen, "and serving") {
		t.Errorf("yes: %d, %q", code, screen)
	}
	code, screen = seen(t, s, "n\n", "upgrade")
	if code != 1 || !strings.Contains(screen, "declined: nothing was changed") || len(r.asked) != 1 {
		t.Errorf("no: %d, %q, asked %v", code, screen, r.asked)
	}
	code, screen = seen(t, s, "", "upgrade", "--yes", "--progress=plain")
	if code != 0 || strings.Contains(screen, "Go ahead?") || strings.Contains(screen, "%") || !strings.Contains(screen, "fetch 1.1.0 (2.0 MB)\r\n") {
		t.Errorf("plain: %d, %q", code, screen)
	}
	for _, tt := range []struct {
		name, value string
		colour      bool
	}{{"NO_COLOR", "", true}, {"NO_COLOR", "1", false}, {"TERM", "dumb", false}} {
		t.Setenv(tt.name, tt.value)
		_, screen := seen(t, s, "", "status")
		if coloured := strings.Contains(screen, "\x1b["); coloured != tt.colour || !strings.Contains(screen, "● ") && !coloured {
			t.Errorf("%s=%s: %q", tt.name, tt.value, screen)
		}
	}
	code, screen = seen(t, s, "", "upgrade", "--yes") // TERM=dumb
	if code != 0 || strings.Contains(screen, "\x1b") || !strings.Contains(screen, "fetch 1.1.0 (2.0 MB)\r\n") {
		t.Errorf("dumb: %d, %q", code, screen)
	}
}

// TestSameDocument: --json has the same bytes on a terminal as elsewhere.
func TestSameDocument(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available}
	r.run("abc")
	for _, args := range []string{"check --json", "quarantine --json", "version --json", "status --json --instance none"} {
		_, out, _ := told(server.Service{StateDir: r.state}, strings.Fields(args)...)
		_, screen := seen(t, server.Service{StateDir: r.state}, "", strings.Fields(args)...)
		if screen := strings.ReplaceAll(screen, "\r\n", "\n"); !strings.HasPrefix(screen, out) || out == "" {
			t.Errorf("%s: %q on a terminal, %q elsewhere", args, screen, out)
		}
	}
}
