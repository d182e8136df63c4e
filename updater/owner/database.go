package owner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// database is a package manager that knows its files, and has to be asked.
type database struct {
	manager string
	program string
	args    []string // the path goes behind them
	names   func(path string) []string
	owner   *regexp.Regexp // finds the name of the package in a line of the answer
	nobody  string         // what it says, with exit status 1, of a file that is none of its own
	partly  bool           // it fails although it knows one of several names
	upgrade func(name string) string
}

var databases = []database{
	{
		manager: "dpkg", program: "dpkg-query", args: []string{"--search"}, names: patterns, partly: true,
		// "hello: /usr/bin/hello", "hello:amd64, other: /usr/bin/hello"; not "diversion by hello from: /usr/bin/hello".
		owner: regexp.MustCompile(`^([^\s:,]+)(?::\w+)?(?:, \S+)*: /`), nobody: "no path found matching pattern",
		upgrade: after("apt-get install --only-upgrade "),
	},
	{
		manager: "rpm", program: "rpm", args: []string{"--query", "--queryformat", `%{NAME}\n`, "--file"}, names: one,
		owner: regexp.MustCompile(`^(\S+)$`), nobody: "is not owned by any package",
		upgrade: func(name string) string { return rpmUpgrade() + name },
	},
	{
		manager: "apk", program: "apk", args: []string{"info", "--who-owns"}, names: one,
		owner: regexp.MustCompile(` is owned by (\S+)-[^-\s]+-r\d+$`), nobody: "Could not find owner package",
		upgrade: after("apk add --upgrade "),
	},
	{
		manager: "pacman", program: "pacman", args: []string{"--query", "--owns", "--quiet"}, names: one,
		owner: regexp.MustCompile(`^(\S+)$`), nobody: "No package owns",
		upgrade: func(string) string { return "pacman -Syu" }, // which supports no upgrade of a part
	},
}

func after(command string) func(string) string {
	return func(name string) string { return command + name }
}

// rpmUpgrade is the first of the programs that bring packages of rpm from a repository.
func rpmUpgrade() string {
	for _, c := range []string{"dnf upgrade ", "yum update ", "zypper update ", "microdnf upgrade "} {
		program, _, _ := strings.Cut(c, " ")
		if _, err := exec.LookPath(program); err == nil {
			return c
		}
	}
	return "dnf upgrade "
}

func one(path string) []string { return []string{path} }

// patterns is a path for dpkg, which takes it for a glob. Where /bin is a link to /usr/bin, dpkg knows a file by the name that it has in the package, and
// that may be the other one.
func patterns(path string) []string {
	list := []string{quoteGlob(path)}
	other := "/usr" + path
	if rest, ok := strings.CutPrefix(path, "/usr/"); ok {
		other = "/" + rest
	}
	a, err1 := os.Stat(path)
	b, err2 := os.Stat(other)
	if errors.Join(err1, err2) == nil && os.SameFile(a, b) {
		list = append(list, quoteGlob(other))
	}
	return list
}

var quoteGlob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace

// ask returns the name of the package that owns the file at path; "" if none of this manager does, or it is not here.
func (d database) ask(ctx context.Context, path string) (string, error) {
	program, err := exec.LookPath(d.program)
	if err != nil {
		return "", nil
	}
	var answer capped
	cmd := exec.CommandContext(ctx, program, append(d.args[:len(d.args):len(d.args)], d.names(path)...)...)
	cmd.Env, cmd.Dir = environment(), "/"
	cmd.Stdout, cmd.Stderr = &answer, &answer
	cmd.WaitDelay = time.Second // for a descendant that keeps the pipe
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err == nil || d.partly {
		for line := range strings.Lines(answer.String()) {
			if m := d.owner.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil && nameSyntax.MatchString(m[1]) {
				return m[1], nil
			}
		}
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", errors.New("an answer that cannot be read")
	case errors.As(err, &exit) && exit.ExitCode() == 1 && strings.Contains(answer.String(), d.nobody):
		return "", nil
	}
	return "", fmt.Errorf("%w: %.200q", err, answer.String())
}

// environment is what a package manager needs of ours: where programs are, where the database is, and no language but English.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "DPKG_ADMINDIR", "DPKG_ROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// maxAnswer bounds what is kept of an answer, in bytes.
const maxAnswer = 16 << 10

// capped keeps the beginning of what is written.
type capped struct{ kept bytes.Buffer } // not embedded: io.Copy would go around Write

func (c *capped) Write(p []byte) (int, error) {
	c.kept.Write(p[:min(len(p), maxAnswer-c.kept.Len())])
	return len(p), nil
}

func (c *capped) String() string { return c.kept.String() }
