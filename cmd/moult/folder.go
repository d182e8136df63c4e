package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/moult-go/moult/release"
)

// folderEntry is an executable in a plain directory.
type folderEntry struct {
	program
	name string // of the program, as its file name begins
	libc int
}

// readFolder takes the executables in a directory and below: what they are for is read from their headers and build information. Names
// only choose between several programs.
func (b *bundle) readFolder(dir string, w wanted) error {
	all, err := executables(dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return &usageError{fmt.Errorf("%s: no executable is in it", dir)}
	}
	var names []string
	for _, e := range all {
		names = append(names, e.name)
	}
	name, err := w.choose(names)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	all = slices.DeleteFunc(all, func(e folderEntry) bool { return e.name != name })
	for _, e := range all {
		if better := slices.ContainsFunc(all, func(o folderEntry) bool { return o.platform == e.platform && o.libc < e.libc }); better {
			b.note("%s is not published: another one for %s needs no C library", e.origin, e.platform)
			continue
		}
		programs, err := b.split(e.program)
		if err != nil {
			return err
		}
		b.programs = append(b.programs, programs...)
	}
	return nil
}

// maxEntries is how many files a directory may have that is looked through.
const maxEntries = 10_000

// executables lists what has the header of a program, whatever its mode: downloads lose it.
func executables(dir string) (list []folderEntry, err error) {
	seen := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxEntries {
			return fmt.Errorf("%s: more than %d files: name the executables themselves", dir, maxEntries)
		}
		if !d.Type().IsRegular() || nameIgnored.MatchString(d.Name()) {
			return nil
		}
		ok, err := looksExecutable(path)
		if !ok || err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		e := folderEntry{program: program{path: path, origin: path, named: platformOfName(rel)}, name: programOfName(d.Name()), libc: libcOfName(rel)}
		e.platform = platformOfFile(path, e.named)
		list = append(list, e)
		return nil
	})
	return list, err
}

// platformOfFile is what a program is for, by its header, its build information, and its name for the variant if neither has one. It is the
// zero Platform if they do not say: what is wrong with it is found when it is checked.
func platformOfFile(path string, named release.Platform) release.Platform {
	x, err := inspect(path)
	if err != nil {
		return release.Platform{}
	}
	p := x.platform
	if x.info == nil && named.OS == p.OS && named.Arch == p.Arch {
		p.Variant = named.Variant
	}
	return p
}

// looksExecutable reads the first bytes of a file.
func looksExecutable(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [4]byte
	n, _ := f.Read(head[:]) // what is shorter is none
	switch magic := string(head[:n]); {
	case magic == "\x7fELF", magic == "\xca\xfe\xba\xbe", n >= 2 && magic[:2] == "MZ":
		return true, nil
	case magic == "\xcf\xfa\xed\xfe", magic == "\xce\xfa\xed\xfe":
		return true, nil
	}
	return false, nil
}
