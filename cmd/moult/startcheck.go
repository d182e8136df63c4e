package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// The checks that ask the program itself.

// askProgram is replaced in tests, whose own executable is the program.
var askProgram = updater.Report

func checkStart(ctx context.Context, in *inspection, s *subject) verdict {
	switch here := machine(); {
	case s.err != nil:
		return said(notMade, "its header cannot be read")
	case s.info == nil:
		return said(notMade, "it has no Go build information")
	case !here.Runs(s.platform) || s.built.Arch != "" && !here.Runs(s.built):
		return said(notMade, "not for this machine, which is %s: only the file was looked at", here)
	}
	path, remove, err := runnable(s.program.path)
	if err != nil {
		return said(failed, "make it executable: %v", err)
	}
	defer remove()
	report, err := askProgram(ctx, path)
	switch {
	case errors.Is(err, updater.ErrNoReport) && in.runVersion:
		return s.runVersion(ctx, path, in.version)
	case errors.Is(err, updater.ErrNoReport):
		return said(notMade, "it does not answer the proof, as programs built with moult do; --run-version runs it with --version")
	case err != nil:
		return said(failed, "%v", err).hint("every server would refuse it for this: start it yourself and see")
	}
	s.report = &report
	return in.compareReport(s, report)
}

// compareReport does what a server does with the answer, but for the version.
func (in *inspection) compareReport(s *subject, r role.Report) verdict {
	p, err := release.ParsePlatform(r.Platform)
	switch {
	case r.Name != "" && r.Name != in.app:
		return said(failed, "it says that it is %q, and the feed is that of %s", r.Name, in.app).hint("publish the right program, or name it so: server.Service.Name")
	case err != nil || p.OS != s.platform.OS || p.Arch != s.platform.Arch:
		return said(failed, "it says that it runs on %q", r.Platform)
	case r.Module != s.module:
		return said(failed, "it says that its module is %q, its build information %q", r.Module, s.module)
	}
	return said(passed, "it starts, and is %s %s", r.Name, r.Version)
}

// runnable returns a path from which a program can be started: its own, or that of a copy if its mode was lost on the way, as archives of
// build artifacts lose it.
func runnable(path string) (where string, remove func(), err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if info.Mode()&0o100 != 0 {
		return path, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "moult-start-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	where = filepath.Join(dir, filepath.Base(path))
	if err := copyProgram(where, path); err != nil {
		remove()
		return "", nil, err
	}
	return where, remove, nil
}

func copyProgram(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

const (
	runVersionTimeout = 10 * time.Second
	maxVersionOutput  = 64 << 10
)

var versionWord = regexp.MustCompile(`\bv?[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*`)

// runVersion runs the program with --version, in an empty environment but for what programs cannot do without.
func (s *subject) runVersion(ctx context.Context, path string, v release.Version) verdict {
	ctx, cancel := context.WithTimeout(ctx, runVersionTimeout)
	defer cancel()
	abs, err := filepath.Abs(path)
	if err != nil {
		return said(failed, "%v", err)
	}
	out := &capped{left: maxVersionOutput}
	cmd := exec.CommandContext(ctx, abs, "--version")
	cmd.Dir = os.TempDir()
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "SystemRoot"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return said(failed, "run it with --version: %v: %.200s", err, printable(string(out.b)))
	}
	for _, word := range versionWord.FindAllString(string(out.b), -1) {
		if got, err := release.ParseVersion(strings.TrimRight(word, ".")); err == nil {
			s.report = &role.Report{Version: got.String()}
			if got.Compare(v) == 0 {
				break
			}
		}
	}
	if s.report == nil {
		return said(failed, "its --version says no version: %.200s", printable(string(out.b)))
	}
	return said(passed, "its --version says %s", s.report.Version)
}

// capped keeps the first bytes that are written to it.
type capped struct {
	b    []byte
	left int
}

func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.b, c.left = append(c.b, p[:n]...), c.left-n
	return len(p), nil
}

// checkVersion compares what the program says when it runs; for want of that, what the linker was told, and the version of its main module.
func checkVersion(_ context.Context, in *inspection, s *subject) verdict {
	if s.report != nil {
		return in.compareVersion(s.report.Version, "it says that it is version %q")
	}
	stamped := stampedVersions(s.setting("-ldflags"))
	for _, v := range stamped {
		if sameVersion(v, in.version) {
			return said(passed, "the linker was told %s", v)
		}
	}
	if len(stamped) > 0 {
		return in.compareVersion(stamped[0], "the linker was told version %q")
	}
	if s.info == nil {
		return said(notMade, "nothing says its version")
	}
	switch v := s.info.Main.Version; {
	case v == "" || v == "(devel)":
		return said(notMade, "nothing says its version but the program itself, which was not started")
	case !sameVersion(v, in.version):
		return said(warned, "its main module has version %s", v).hint("a version that the program itself reports would tell; was it built from another tag?")
	default:
		return said(passed, "its main module has version %s", v)
	}
}

func (in *inspection) compareVersion(got, format string) verdict {
	if sameVersion(got, in.version) {
		return said(passed, "%s", got)
	}
	return said(failed, format+", and %s is to be published: servers refuse it", got, in.version).
		hint("build it with -ldflags='-X main.version=%s', or whatever variable it keeps its version in", in.version)
}

func sameVersion(s string, v release.Version) bool {
	got, err := release.ParseVersion(s)
	return err == nil && got.Compare(v) == 0
}

var stamp = regexp.MustCompile(`-X[ =]['"]?[^ ='"]*\.([A-Za-z]*)=([^ '"]*)`)

// stampedVersions are the values of variables called like a version in the flags of the linker, which the build information has unless
// -trimpath was given.
func stampedVersions(ldflags string) (list []string) {
	for _, m := range stamp.FindAllStringSubmatch(ldflags, -1) {
		if name := strings.ToLower(m[1]); strings.HasSuffix(name, "version") && !strings.Contains(name, "go") {
			list = append(list, m[2])
		}
	}
	return list
}
