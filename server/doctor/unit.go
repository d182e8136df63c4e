package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"
)

// unit is one of a service manager, with the properties that systemctl shows.
type unit struct {
	name       string
	user       bool // of a user's manager
	properties map[string]string
}

// asked are the properties that the checks look at.
var asked = []string{
	"Id", "LoadState", "ControlGroup", "MainPID", "User", "DynamicUser",
	"Type", "NotifyAccess", "KillMode", "OOMPolicy", "Restart", "ExecStop", "TimeoutStopUSec", "TimeoutStartUSec", "WatchdogUSec",
	"ProtectSystem", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "StateDirectory", "RootDirectory", "RootImage", "NoExecPaths", "ExecPaths", "PrivateTmp",
	"PrivatePIDs", "SystemCallFilter", "RestrictAddressFamilies", "RuntimeDirectory",
}

// patience bounds a question to the service manager.
const patience = 10 * time.Second

// lookAtUnit finds the unit of the process that serves, or without one that which is called like the program.
func (f *facts) lookAtUnit(ctx context.Context) {
	name := f.App + ".service"
	if f.process != nil {
		if name = serviceOf(f.process.group.service()); name == "" {
			return
		}
	} else if f.Status != nil {
		return // a process that cannot be seen
	}
	program, err := exec.LookPath("systemctl")
	if err != nil {
		return
	}
	var errs []error
	for _, user := range []bool{false, true} {
		u, err := show(ctx, program, name, user)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if u.properties["LoadState"] == "loaded" && u.runs(f.process) {
			f.unit = u
			return
		}
	}
	if f.process != nil {
		f.saw(fmt.Errorf("look at the unit %s: %w", name, errors.Join(append(errs, errors.New("no service manager that can be asked knows this process"))...)))
	}
}

// serviceOf is the innermost service in the path of a control group.
func serviceOf(group string) string {
	for ; group != "/" && group != "." && group != ""; group = path.Dir(group) {
		if name := path.Base(group); strings.HasSuffix(name, ".service") && !strings.HasPrefix(name, "user@") {
			return name
		}
	}
	return ""
}

// runs reports whether p belongs to u; without a process any unit will do.
func (u *unit) runs(p *process) bool {
	if p == nil {
		return true
	}
	group := u.properties["ControlGroup"]
	return u.properties["MainPID"] == strconv.Itoa(p.pid) || group != "" && strings.HasPrefix(p.group.service()+"/", group+"/")
}

// show asks the system's service manager, or the user's.
func show(ctx context.Context, program, name string, user bool) (*unit, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	args := []string{"show", "--no-pager", "--property=" + strings.Join(asked, ","), "--", name}
	if user {
		args = append([]string{"--user"}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + os.Getenv("XDG_RUNTIME_DIR"), "DBUS_SESSION_BUS_ADDRESS=" + os.Getenv("DBUS_SESSION_BUS_ADDRESS")}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %.200s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return nil, fmt.Errorf("systemctl: %w", err)
	}
	return &unit{name, user, parseProperties(string(out))}, nil
}

// parseProperties reads KEY=VALUE lines; of several lines with one key, all values, each on a line.
func parseProperties(s string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(s) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if !ok {
			continue
		}
		if before := m[key]; before != "" && value != "" {
			value = before + "\n" + value
		}
		m[key] = value
	}
	return m
}

// set says how to put a line into the unit.
func (u *unit) set(lines string) string {
	who := "systemctl edit "
	if u.user {
		who = "systemctl --user edit "
	}
	return who + u.name + ": [Service] " + lines + "; then restart it once"
}

func (u *unit) words(property string) []string { return strings.Fields(u.properties[property]) }

// yes reports whether a property is switched on, in whatever way.
func (u *unit) yes(property string) bool {
	switch u.properties[property] {
	case "", "no", "false", "0":
		return false
	}
	return true
}

// span reads a time span as systemctl prints it; infinite says that there is no limit.
func (u *unit) span(property string) (d time.Duration, infinite, ok bool) {
	text := u.properties[property]
	if text == "infinity" {
		return 0, true, true
	}
	d, err := parseSpan(text)
	return d, false, err == nil
}

var spanUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "month": 2629800 * time.Second, "y": 31557600 * time.Second,
}

// parseSpan reads "1min 30s", and "0".
func parseSpan(s string) (sum time.Duration, err error) {
	if s == "0" {
		return 0, nil
	}
	words := strings.Fields(s)
	if len(words) == 0 {
		return 0, errors.New("empty time span")
	}
	for _, w := range words {
		digits := strings.TrimRight(w, "abcdefghijklmnopqrstuvwxyz")
		n, err := strconv.ParseFloat(digits, 64)
		unit, ok := spanUnits[w[len(digits):]]
		if err != nil || !ok {
			return 0, fmt.Errorf("time span %q", s)
		}
		sum += time.Duration(n * float64(unit))
	}
	return sum, nil
}
