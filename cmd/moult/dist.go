package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
)

// A dist directory is what goreleaser leaves behind: artifacts.json lists every file that it made and what each is for. Its fields, and nothing
// else, decide what is published: the names of the files are free to the user.

const (
	maxArtifactsFile = 16 << 20
	maxArtifacts     = 10_000
	allArchs         = "all" // goarch of a universal macOS binary
)

// distArtifact is an entry of artifacts.json, as goreleaser v2 writes it (internal/artifact; v1 wrote the same).
type distArtifact struct {
	Name      string `json:"name"`
	Path      string `json:"path"` // begins with the dist directory as it was called then
	GOOS      string `json:"goos"`
	GOARCH    string `json:"goarch"`
	GOAMD64   string `json:"goamd64"`
	GO386     string `json:"go386"`
	GOARM     string `json:"goarm"`
	GOARM64   string `json:"goarm64"`
	GOMIPS    string `json:"gomips"`
	GOPPC64   string `json:"goppc64"`
	GORISCV64 string `json:"goriscv64"`
	Type      string `json:"type"`
	Extra     struct {
		ID       string   // of the build, or of the archive
		Binary   string   // without extension
		Binaries []string // in an archive, with extension
		Format   string   // of an archive
		Checksum string   // "sha256:HEX", of what is to be uploaded
	} `json:"extra"`
}

type distMetadata struct {
	Version string `json:"version"`
}

func isDist(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "artifacts.json"))
	return err == nil
}

// dist is a directory that is being read.
type dist struct {
	dir       string
	root      *os.Root
	prefix    string // what the paths in artifacts.json begin with
	artifacts []distArtifact
}

func (b *bundle) readDist(dir string, w wanted) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	d := &dist{dir: dir, root: root}
	meta, err := d.load()
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if b.version != "" && meta.Version != b.version {
		return &usageError{fmt.Errorf("%s is of version %s, what stands before it of %s", dir, meta.Version, b.version)}
	}
	b.version = meta.Version
	name, err := w.choose(d.names(w.binary))
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	found, err := d.binaries(b, name)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if len(found) == 0 {
		return fmt.Errorf("%s: %w: artifacts.json lists program %s, but neither it nor an archive of it is there", dir, fs.ErrNotExist, name)
	}
	programs, err := b.splitAll(found)
	b.programs = append(b.programs, programs...)
	return err
}

// load reads artifacts.json and metadata.json; some who copy a dist directory leave the second behind.
func (d *dist) load() (meta distMetadata, err error) {
	if err := readJSON(d.root, "artifacts.json", &d.artifacts); err != nil {
		return meta, err
	}
	if len(d.artifacts) > maxArtifacts {
		return meta, fmt.Errorf("artifacts.json: %w: %d artifacts, more than %d", errFormat, len(d.artifacts), maxArtifacts)
	}
	if err := readJSON(d.root, "metadata.json", &meta); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return meta, err
	}
	if abs, err := filepath.Abs(d.dir); err == nil {
		d.prefix = filepath.Base(abs)
	}
	for _, a := range d.artifacts {
		if a.Type == "Metadata" {
			d.prefix = path.Dir(filepath.ToSlash(a.Path))
		}
	}
	return meta, nil
}

func readJSON(root *os.Root, name string, v any) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxArtifactsFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxArtifactsFile {
		return fmt.Errorf("%s: %w: more than %d bytes", name, errFormat, maxArtifactsFile)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w: %w", name, errFormat, err)
	}
	return nil
}

// names lists the programs in d; a build with the id that was asked for is listed by it.
func (d *dist) names(id string) (names []string) {
	for _, a := range d.artifacts {
		for _, name := range a.programs() {
			names = append(names, name)
			if a.Type == "Binary" && id != "" && a.Extra.ID == id {
				names = append(names, id)
			}
		}
	}
	return names
}

// programs names what is in an artifact.
func (a distArtifact) programs() (names []string) {
	switch {
	case a.Type == "Binary" && a.Extra.Binary != "":
		names = []string{a.Extra.Binary}
	case a.Type == "Archive":
		names = a.Extra.Binaries
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".exe")
	}
	return names
}

func (a distArtifact) has(name string) bool {
	return slices.Contains(a.programs(), name) || a.Type == "Binary" && a.Extra.ID == name
}

func (a distArtifact) platform() release.Platform {
	variant := map[string]string{
		"amd64": a.GOAMD64, "386": a.GO386, "arm": a.GOARM, "arm64": a.GOARM64, "ppc64": a.GOPPC64, "ppc64le": a.GOPPC64, "riscv64": a.GORISCV64,
		"mips": a.GOMIPS, "mipsle": a.GOMIPS, "mips64": a.GOMIPS, "mips64le": a.GOMIPS,
	}[a.GOARCH]
	return release.GoPlatform(a.GOOS, a.GOARCH, variant)
}

// binaries returns the program of that name for every platform: as the build left it, or out of an archive where only that is there.
func (d *dist) binaries(b *bundle, name string) (found []program, err error) {
	for _, kind := range []string{"Binary", "Archive"} {
		var these []program
		for _, a := range d.artifacts {
			p := a.platform()
			if a.Type != kind || !a.has(name) || kind == "Archive" && slices.ContainsFunc(found, func(o program) bool { return o.platform == p }) {
				continue
			}
			x, err := d.take(b, a, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.Path, err)
			}
			if !slices.ContainsFunc(these, func(o program) bool { return o.path == x.path }) { // format "binary" lists the build's file again
				these = append(these, x)
			}
		}
		found = append(found, these...)
	}
	return d.withoutUniversal(b, found), nil
}

// withoutUniversal drops a universal macOS binary where its halves are there as well.
func (d *dist) withoutUniversal(b *bundle, found []program) []program {
	single := slices.ContainsFunc(found, func(p program) bool { return p.platform.OS == "darwin" && p.platform.Arch != allArchs })
	return slices.DeleteFunc(found, func(p program) bool {
		drop := single && p.platform.Arch == allArchs
		if drop {
			b.note("%s is universal and not published: each Mac gets the binary for its own processor, which is half the size", p.origin)
		}
		return drop
	})
}

// take returns the program in a.
func (d *dist) take(b *bundle, a distArtifact, name string) (program, error) {
	rel, err := d.local(a.Path)
	if err != nil {
		return program{}, err
	}
	info, err := d.root.Lstat(rel)
	if err != nil {
		return program{}, err
	}
	if !info.Mode().IsRegular() {
		return program{}, fmt.Errorf("%w: not a regular file", errFormat)
	}
	if err := d.compare(rel, a.Extra.Checksum); err != nil {
		return program{}, err
	}
	x := program{path: filepath.Join(d.dir, rel), platform: a.platform()}
	x.origin = x.path
	if a.Type == "Archive" && a.Extra.Format != "binary" {
		x.origin += ": " + name
		x.path, err = b.unpack(x.path, a.Extra.Format, name)
	}
	return x, err
}

// local is the path of an artifact below the directory, whatever that was called when the paths were written.
func (d *dist) local(p string) (string, error) {
	rel, ok := strings.CutPrefix(path.Clean(filepath.ToSlash(p)), path.Clean(d.prefix)+"/")
	if rel = filepath.FromSlash(rel); !ok || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%w: it lies outside of %s", errFormat, d.prefix)
	}
	return rel, nil
}

var errChecksum = errors.New("checksum mismatch")

// compare holds a file against its checksum in artifacts.json. Other algorithms than sha256 are not compared: what is signed is a sha256 of our own.
func (d *dist) compare(rel, checksum string) error {
	want, ok := strings.CutPrefix(checksum, "sha256:")
	if !ok {
		return nil
	}
	f, err := d.root.Open(rel)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%w: artifacts.json says sha256 %.12s, the file has %.12s", errChecksum, want, got)
	}
	return nil
}
