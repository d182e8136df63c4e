package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
)

// program is one executable that may be published.
type program struct {
	path     string           // where its bytes are, perhaps in a temporary directory
	origin   string           // what people know it by: "dist/hello_linux_amd64.tar.gz: hello"
	platform release.Platform // as the source says; the zero Platform if it says none
	named    release.Platform // as its file name says, where only a name tells
}

// wanted says which of several programs to take.
type wanted struct {
	app    string // name of the feed's application
	binary string // --binary: the name of a program, or the id of its build
}

// bundle is what was found at the sources.
type bundle struct {
	programs []program
	version  string   // as the source says; "" if it says none
	notes    []string // decisions that people should know of
	temp     string   // private directory for what was unpacked; "" if nothing was
}

// gather finds the programs at the sources: goreleaser's dist directories, plain directories, single files. The caller must close the bundle.
func gather(sources []string, w wanted) (*bundle, error) {
	b := &bundle{}
	for _, source := range sources {
		if err := b.read(source, w); err != nil {
			b.close()
			return nil, err
		}
	}
	if err := b.distinct(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bundle) read(source string, w wanted) error {
	info, err := os.Stat(source)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return b.addFile(source)
	case isDist(source):
		return b.readDist(source, w)
	}
	return b.readFolder(source, w)
}

// addFile takes a single file, or both halves of a universal one.
func (b *bundle) addFile(path string) error {
	programs, err := b.split(program{path: path, origin: path, named: platformOfName(filepath.Base(path))})
	b.programs = append(b.programs, programs...)
	return err
}

// close removes what was unpacked.
func (b *bundle) close() {
	if b.temp != "" {
		os.RemoveAll(b.temp)
	}
}

// tempFile names a new file in the private directory.
func (b *bundle) tempFile(name string) (string, error) {
	if b.temp == "" {
		dir, err := os.MkdirTemp("", "moult-publish-") // 0700
		if err != nil {
			return "", err
		}
		b.temp = dir
	}
	dir, err := os.MkdirTemp(b.temp, "")
	return filepath.Join(dir, name), err
}

func (b *bundle) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

var errAmbiguous = errors.New("more than one program")

// distinct refuses two programs for one platform, as far as the sources say platforms.
func (b *bundle) distinct() error {
	if len(b.programs) == 0 {
		return &usageError{errors.New("there is nothing to publish")}
	}
	for i, p := range b.programs {
		j := slices.IndexFunc(b.programs[:i], func(o program) bool { return o.platform == p.platform })
		if j >= 0 && p.platform != (release.Platform{}) {
			return fmt.Errorf("%w for %s: %s and %s", errAmbiguous, p.platform, b.programs[j].origin, p.origin)
		}
	}
	return nil
}

// choose returns the one of names that is wanted: --binary, or else the feed's application, or else the only one there is.
func (w wanted) choose(names []string) (string, error) {
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case w.binary != "" && slices.Contains(names, w.binary):
		return w.binary, nil
	case w.binary != "":
		return "", &usageError{fmt.Errorf("there is no program %q, only %s", w.binary, strings.Join(names, ", "))}
	case slices.Contains(names, w.app):
		return w.app, nil
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", &usageError{errors.New("there is no program to publish")}
	}
	return "", fmt.Errorf("%w, and none is called %s: %s", errAmbiguous, w.app, strings.Join(names, ", "))
}
