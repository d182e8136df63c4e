package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
)

// The checks of what a file says of itself. Nothing is run.

// newSubject reads all that can be known of a program without running it.
func newSubject(p program, asked release.Platform) (*subject, error) {
	s := &subject{program: p, platform: p.platform}
	info, err := os.Stat(p.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", p.origin, errFormat)
	}
	if s.digest, s.length, err = release.DigestFile(p.path); err != nil {
		return nil, err
	}
	if mode := info.Mode(); mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		s.err = fmt.Errorf("%w: it is setuid or setgid", errFormat)
	} else {
		s.executable, s.err = inspect(p.path)
	}
	if asked != (release.Platform{}) {
		s.platform = asked
	}
	if s.platform == (release.Platform{}) {
		s.platform = s.header()
	}
	return s, nil
}

// header is the platform of the executable's header, with the variant that its build information tells; the name tells it where there is none.
func (s *subject) header() release.Platform {
	p := s.executable.platform
	if s.info == nil && s.named.OS == p.OS && s.named.Arch == p.Arch {
		p.Variant = s.named.Variant
	}
	return p
}

func checkFile(_ context.Context, _ *inspection, s *subject) verdict {
	if s.err != nil {
		why := strings.TrimPrefix(s.err.Error(), s.program.path+": ")
		return said(failed, "%s", why).hint("give the executable itself, as the compiler wrote it, mode 0755")
	}
	return said(passed, "%d bytes", s.length)
}

func checkPlatform(_ context.Context, _ *inspection, s *subject) verdict {
	if s.err != nil {
		return said(notMade, "its header cannot be read")
	}
	p, header := s.platform, s.executable.platform
	rebuild := func(f verdict) verdict { return f.hint("build it with GOOS=%s GOARCH=%s", p.OS, p.Arch) }
	switch {
	case p.OS != header.OS || p.Arch != header.Arch:
		return rebuild(said(failed, "its header says %s, and it is to be published for %s", header, p))
	case s.built.Arch != "" && s.built.Arch != header.Arch:
		return rebuild(said(failed, "its header says %s, its build information %s", header, s.built))
	case s.built.Arch != "" && !p.Runs(s.built):
		return said(failed, "it was built for %s, and would not start on every %s", s.built, p).hint("publish it with --platform %s, or build it for less", s.built)
	case s.named.OS != "" && (s.named.OS != p.OS || s.named.Arch != p.Arch):
		return said(failed, "it is called as if it were for %s, and it is for %s", s.named, p).hint("look which of the two is wrong")
	}
	return said(passed, "%s", p)
}

func checkModule(_ context.Context, in *inspection) (list []verdict) {
	for _, s := range in.subjects {
		f := in.module(s)
		f.File = s.origin
		list = append(list, f)
	}
	return list
}

func (in *inspection) module(s *subject) verdict {
	first := in.subjects[0]
	switch {
	case s.err != nil:
		return said(notMade, "its header cannot be read")
	case s.info == nil:
		return said(failed, "no Go build information: servers refuse it, since they cannot tell whether it is their own program").
			hint("build it with the go command, and neither pack it nor strip it further than -ldflags='-s -w' does")
	case s.module == "":
		return said(warned, "its build information names no main module: servers with one refuse it").hint("build the package, not its files: go build ./cmd/%s", in.app)
	case s.module != first.module:
		return said(failed, "its main module is %s, and %s in %s", s.module, first.module, first.origin).hint("one of them is another program: name the right one by --binary")
	}
	for _, ix := range in.indexes {
		newest, err := ix.Latest()
		if before := newest.Artifact.Module; err == nil && before != "" && before != s.module {
			return said(failed, "its main module is %s, that of %s was %s: servers refuse it", s.module, newest.Version, before).
				hint("if the module was renamed, a version between must accept both names: updater.Options.Module \"-\"")
		}
	}
	return said(passed, "%s", s.module)
}

func checkToolchain(_ context.Context, in *inspection) []verdict {
	var versions []string
	for _, s := range in.subjects {
		if s.info != nil {
			versions = append(versions, s.info.GoVersion)
		}
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	switch len(versions) {
	case 0:
		return []verdict{said(notMade, "no file has build information")}
	case 1:
		return []verdict{said(passed, "%s", versions[0])}
	}
	return []verdict{said(warned, "built by %s", strings.Join(versions, ", ")).hint("was one of the files left over from an earlier build?")}
}

// setting is an entry of the build information, "" if it is not there.
func (x executable) setting(key string) string {
	if x.info == nil {
		return ""
	}
	for _, s := range x.info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

func checkVCS(_ context.Context, _ *inspection, s *subject) verdict {
	revision := s.setting("vcs.revision")
	switch {
	case s.setting("vcs.modified") == "true":
		return said(warned, "built from a checkout with changes that were not committed, at revision %.12s", revision).
			hint("commit or stash them, or nobody will be able to build this version again")
	case revision == "":
		return said(passed, "no revision recorded")
	}
	return said(passed, "revision %.12s", revision)
}

func checkDebug(_ context.Context, _ *inspection, s *subject) verdict {
	var found []string
	for _, flag := range []string{"-race", "-msan", "-asan", "-cover"} {
		if s.setting(flag) == "true" {
			found = append(found, flag)
		}
	}
	if gcflags := s.setting("-gcflags"); slices.ContainsFunc(strings.FieldsFunc(gcflags, func(r rune) bool { return r == ' ' || r == '=' }), func(f string) bool { return f == "-N" || f == "-l" }) {
		found = append(found, "-gcflags="+gcflags)
	}
	if len(found) > 0 {
		return said(warned, "a debug build, by %s: it is larger and several times slower", strings.Join(found, " ")).hint("build it without")
	}
	return said(passed, "")
}

func checkDWARF(_ context.Context, _ *inspection, s *subject) verdict {
	d := s.debug
	switch {
	case d.size == 0:
		return said(passed, "no debug information")
	case !d.compressed:
		return said(passed, "%s of debug information, not compressed", sizeText(d.size))
	}
	// feeds with such builds were measured: the delta between two of nats-server was 52 % of the full download instead of 3 %
	return said(warned, "%s of compressed debug information, %d %% of the file: each update downloads it, and deltas become about 16 times as large, since one changed "+
		"byte changes all that is compressed after it", sizeText(d.size), 100*d.size/max(s.length, 1)).
		hint("build with -ldflags='-s -w' to leave it out, or with -ldflags=-compressdwarf=false to keep it and the deltas small")
}

// checkNewer asks the feed what it would refuse.
func checkNewer(ctx context.Context, in *inspection) []verdict {
	if err := in.plan(ctx); err != nil {
		return []verdict{{Outcome: failed, Message: err.Error(), err: err}}
	}
	return []verdict{said(passed, "")}
}

// checkComplete looks for platforms that had the newest version of the channel and are not served now.
func checkComplete(_ context.Context, in *inspection) (list []verdict) {
	for _, ix := range in.indexes {
		newest, err := ix.Latest()
		served := slices.ContainsFunc(in.subjects, func(s *subject) bool { return s.platform == ix.Platform })
		if err == nil && !served && newest.Version.Compare(in.version) < 0 {
			list = append(list, said(warned, "nothing for %s, which has %s: hosts there stay with it, or take a lesser variant", ix.Platform, newest.Version).
				hint("publish %s for it as well, if it was forgotten", in.version))
		}
	}
	if len(list) == 0 {
		list = append(list, said(passed, ""))
	}
	return list
}
