package path

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moult-go/moult/updater"
)

// identity tells whether a name still stands for the same bytes. The change time is the one that no tool sets back: a copy
// that keeps its modification time (cp -p, rsync -t, install -p) is new all the same.
type identity struct {
	path     string // links followed; "" if nothing is there
	mode     fs.FileMode
	dev, ino uint64
	size     int64
	modified int64 // ns
	changed  int64 // ns
}

func identify(path string, fi fs.FileInfo) identity {
	dev, ino := deviceInode(fi)
	return identity{path, fi.Mode(), dev, ino, fi.Size(), fi.ModTime().UnixNano(), changeTime(fi).UnixNano()}
}

func (id identity) there() bool { return id.path != "" }

// identifyFile follows links. That nothing is there, or a part of the path, is no error.
func identifyFile(name string) (identity, error) {
	fi, err := os.Stat(name)
	if err == nil {
		var real string
		if real, err = filepath.EvalSymlinks(name); err == nil {
			return identify(real, fi), nil
		}
	}
	if isMissing(err) {
		err = nil
	}
	return identity{}, err
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// look is what is dropped at one moment: the file and its signature.
type look struct {
	file, sidecar identity
}

func (s *Source) look() (look, error) {
	file, err := identifyFile(s.file)
	if err != nil {
		return look{}, fail(updater.Temporary, "missing", "look at %s: %w", s.file, err)
	}
	sidecar, err := identifyFile(s.sidecar())
	if err != nil {
		return look{}, fail(updater.Temporary, "missing", "look at %s: %w", s.sidecar(), err)
	}
	return look{file, sidecar}, nil
}

// signed reports whether there is a signature at all: its writer may just have made the file.
func (l look) signed() bool { return l.sidecar.there() && l.sidecar.size > 0 }

// marked reports whether the signature came after the file: then its writer has said that the file is whole.
func (l look) marked() bool { return l.signed() && l.sidecar.changed >= l.file.changed }

// unsettled is how much longer the file has to rest before it is worth reading. A clock that is behind that of a remote file system
// costs no more than the whole rest.
func (l look) unsettled(now time.Time, rest time.Duration) time.Duration {
	if !l.file.there() || l.marked() {
		return 0
	}
	return left(now, l.file.changed, rest)
}

// pending is how much longer a file and a signature that do not fit may be two of which one is still to come.
func (l look) pending(now time.Time, patience time.Duration) time.Duration {
	return left(now, max(l.file.changed, l.sidecar.changed), patience)
}

func left(now time.Time, since int64, d time.Duration) time.Duration {
	return min(max(d-now.Sub(time.Unix(0, since)), 0), d)
}
