package assets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
	"github.com/moult-go/moult/updater"
)

// File is one file of a release.
type File struct {
	Name   string
	Path   string         // where the source finds it again
	Length int64          // bytes; 0 if the source does not know it
	Digest release.Digest // that the forge says it has; zero if it says nothing
}

// Release is one release, as a source found it.
type Release struct {
	Version release.Version // by its tag; zero: nothing but a signature, or the names of files, says it
	Notes   string
	Files   []File // nil: nobody lists them, and the names are those in Checksums

	// Checksums is the name of the file of checksums; "": it is looked for in Files.
	Checksums string
	// Read reads a small file of the release. A file that is not there is an error that matches fs.ErrNotExist.
	Read func(ctx context.Context, name string, limit int64) ([]byte, error)
	// Locate completes a File of which only the name is known; nil where Files has all.
	Locate func(ctx context.Context, name string) (File, error)
}

// Want is what a program looks for in releases.
type Want struct {
	App      string // as signatures name it
	Program  string // base name of the executable, without ".exe"; "": App
	Project  string // what file names begin with, if neither App nor Program
	Platform release.Platform
	Trust    Trust
}

// Candidate returns what r has for w. That r has nothing for the platform is an error that matches ErrNone; every other one is an
// *updater.Error, or came from r.
func (w Want) Candidate(ctx context.Context, r Release) (updater.Candidate, error) {
	if err := w.Trust.Check(); err != nil {
		return updater.Candidate{}, err
	}
	r.Read = once(r.Read)
	names, err := r.names(ctx)
	if err != nil {
		return updater.Candidate{}, err
	}
	version := r.Version
	if version.IsZero() {
		version = versionIn(names, w.programs())
	}
	host := Host{Platform: w.Platform, Libc: hostLibc(), Programs: w.programs(), Version: version.String()}
	file, err := Choose(names, host)
	var ambiguous *AmbiguousError
	if errors.As(err, &ambiguous) {
		return updater.Candidate{}, fail(updater.Verification, "ambiguous", "release %s: %w", version, err)
	}
	if err != nil {
		return updater.Candidate{}, err
	}
	return w.File(ctx, r, file)
}

// File is Candidate for one file of r.
func (w Want) File(ctx context.Context, r Release, file string) (updater.Candidate, error) {
	if err := w.Trust.Check(); err != nil {
		return updater.Candidate{}, err
	}
	v, err := w.Trust.vouch(ctx, w.App, file, r)
	if err != nil {
		return updater.Candidate{}, err
	}
	named := r.Version
	if named.IsZero() {
		named = versionIn([]string{file}, w.programs())
	}
	return w.candidate(ctx, r, file, named, v)
}

// candidate puts together what was found out of a file. named is the version that its name, or the release, says.
func (w Want) candidate(ctx context.Context, r Release, file string, named release.Version, v vouched) (c updater.Candidate, err error) {
	f := r.find(file)
	if r.Locate != nil {
		if f, err = r.Locate(ctx, file); err != nil {
			return c, gone(file, err)
		}
	}
	if !f.Digest.IsZero() && f.Digest != v.digest {
		return c, fail(updater.Verification, "digest-mismatch", "%s: the forge says sha256 %s, and vouched for is %s", file, f.Digest, v.digest)
	}
	c = updater.Candidate{Version: v.version, Platform: w.Platform, Notes: r.Notes}
	if c.Version.IsZero() {
		c.Version = named
	}
	if c.Version.IsZero() {
		return c, fail(updater.Verification, "wrong-version", "%s: neither a signature nor its name says its version", file)
	}
	if parts, ok := parse(file, named.String()); ok && parts.platform.Arch != anyArch {
		c.Platform = parts.platform
	}
	if v.platform != (release.Platform{}) {
		c.Platform = v.platform
	}
	if !w.Platform.Runs(c.Platform) {
		return c, fail(updater.Policy, "wrong-platform", "%s is signed for %s, and this is %s", file, c.Platform, w.Platform)
	}
	c.Full = release.Payload{Path: f.Path, Length: f.Length, SHA256: v.digest, Format: archive.FormatOf(file)}
	if c.Full.Format == release.Raw {
		c.Length, c.Digest = f.Length, v.digest
	} else {
		c.Member = w.member()
	}
	if v.signature != nil {
		c.Minisign = &updater.Minisign{PublicKey: w.Trust.MinisignKey, Signature: string(v.signature)}
	}
	return c, nil
}

func (w Want) program() string {
	if w.Program != "" {
		return w.Program
	}
	return w.App
}

// programs are the names by which the program may go in file names.
func (w Want) programs() []string {
	return slices.DeleteFunc([]string{w.program(), w.App, w.Project}, func(s string) bool { return s == "" })
}

func (w Want) member() string {
	if w.Platform.OS == "windows" {
		return w.program() + ".exe"
	}
	return w.program()
}

type reader = func(ctx context.Context, name string, limit int64) ([]byte, error)

// once reads each file one time, so that a choice and the reason for it come from the same bytes.
func once(read reader) reader {
	seen := map[string][]byte{}
	return func(ctx context.Context, name string, limit int64) ([]byte, error) {
		b, ok := seen[name]
		if ok {
			return b, nil
		}
		b, err := read(ctx, name, limit)
		if err == nil {
			seen[name] = b
		}
		return b, err
	}
}

func (r Release) names(ctx context.Context) (names []string, err error) {
	if r.Files != nil {
		for _, f := range r.Files {
			names = append(names, f.Name)
		}
		return names, nil
	}
	b, err := r.Read(ctx, r.Checksums, MaxChecksums)
	if err != nil {
		return nil, err
	}
	sums, err := ParseChecksums(b)
	if err != nil {
		return nil, fail(updater.Verification, "bad-checksums", "%s: %w", r.Checksums, err)
	}
	for n := range sums {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, nil
}

func (r Release) find(name string) File {
	if i := slices.IndexFunc(r.Files, func(f File) bool { return f.Name == name }); i >= 0 {
		return r.Files[i]
	}
	return File{}
}

// read reads a file that has to be among Files, where they are listed.
func (r Release) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	if r.Files != nil && r.find(name).Name == "" {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return r.Read(ctx, name, limit)
}

// checksums names the one file of checksums.
func (r Release) checksums(file string) (string, error) {
	if r.Checksums != "" {
		return r.Checksums, nil
	}
	var found []string
	for _, f := range r.Files {
		if IsChecksums(f.Name) {
			found = append(found, f.Name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("checksums of %s: %w", file, fs.ErrNotExist)
	case 1:
		return found[0], nil
	}
	return "", fail(updater.Verification, "ambiguous", "%d files of checksums: %s", len(found), strings.Join(found, ", "))
}

// agree holds what a signature says against who asks and what the release says.
func (r Release) agree(app, file, signedApp string, signed release.Version) error {
	switch {
	case signedApp != app:
		return fail(updater.Verification, "wrong-app", "signature of %s: it is for %s, and this is %s", file, signedApp, app)
	case !r.Version.IsZero() && r.Version.Compare(signed) != 0:
		return fail(updater.Verification, "wrong-version", "signature of %s: it is for version %s, and this is release %s", file, signed, r.Version)
	}
	return nil
}

// versionIn reads the version from names like hello_1.4.0_linux_amd64.tar.gz; zero, if none has one or two differ.
func versionIn(names, programs []string) (found release.Version) {
	for _, n := range names {
		for _, p := range programs {
			rest, ok := strings.CutPrefix(n, p)
			if !ok || rest == "" || !strings.ContainsAny(rest[:1], "_-") {
				continue
			}
			word, _, _ := strings.Cut(rest[1:], "_")
			v, err := release.ParseVersion(word)
			if err != nil {
				continue
			}
			if !found.IsZero() && found.Compare(v) != 0 {
				return release.Version{}
			}
			found = v
		}
	}
	return found
}
