package updater

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
)

// part is the file of a payload that is being fetched. Beside it lies the name that the server gave to the version of the file that it
// is part of: with that a later attempt, also one of another process, goes on where this one stopped. A Source that knows how to
// resume finds in it what release/transfer calls a Sink; for any other it is an io.Writer. It counts, hashes and bounds
// what it is given.
type part struct {
	root      *os.Root
	name      string
	f         *os.File
	hash      hash.Hash
	length    int64
	done      int64
	validator string
	begun     bool // in this try
	noted     int64
	note      func(done int64)
	err       error
}

// noteEvery is the number of bytes between two events of progress.
const noteEvery = 1 << 18

// maxValidator bounds what is kept of a server's name for a file.
const maxValidator = 1 << 10

// partLife is how long a part is kept for an attempt that goes on with it.
const partLife = 7 * 24 * time.Hour

const downloadDir = "download"

func partName(d release.Digest) string { return downloadDir + "/" + d.Short() + ".part" }

// besidePart is the file that keeps a part's validator.
func besidePart(name string) string { return strings.TrimSuffix(name, ".part") + ".from" }

// openPart opens what an earlier attempt left of p, or a new file. What was left is hashed again, from the disk; what was planted in its
// place, and a file that has a second name, goes.
func openPart(root *os.Root, p release.Payload, note func(done int64)) (*part, error) {
	w := &part{root: root, name: partName(p.SHA256), hash: sha256.New(), length: p.Length, note: note}
	if w.reopen() {
		return w, nil
	}
	w.hash.Reset()
	w.done, w.validator = 0, ""
	if err := root.RemoveAll(besidePart(w.name)); err != nil {
		return nil, err
	}
	var err error
	w.f, err = createFresh(root, w.name, 0o600)
	return w, err
}

func (w *part) reopen() bool {
	validator, err := readRegular(w.root, besidePart(w.name), maxValidator)
	if err != nil || len(validator) == 0 {
		return false
	}
	f, err := openRegular(w.root, w.name, os.O_RDWR)
	if err != nil {
		return false
	}
	fi, err := f.Stat()
	if err == nil && isOurs(fi) && fi.Size() <= w.length {
		w.done, err = io.Copy(w.hash, f)
		if err == nil && w.done > 0 {
			w.f, w.validator = f, string(validator)
			return true
		}
	}
	f.Close()
	return false
}

// Have says how many bytes there are, and of which version of the file.
func (w *part) Have() (int64, string) { return w.done, w.validator }

// Sum is the digest of what there is.
func (w *part) Sum() release.Digest { return release.Digest(w.hash.Sum(nil)) }

// Begin keeps the first n bytes, which are none or all that there are, and notes of which version they are.
func (w *part) Begin(n int64, validator string) error {
	if w.err != nil {
		return w.err
	}
	if err := w.begin(n, validator); err != nil {
		w.err = diskError(err, "write the download")
		return w.err
	}
	w.begun, w.noted = true, n
	w.note(n)
	return nil
}

func (w *part) begin(n int64, validator string) error {
	if n != w.done {
		// The name goes before the bytes that it is for, and comes before the bytes that it is for.
		if err := w.root.RemoveAll(besidePart(w.name)); err != nil {
			return err
		}
		w.validator = ""
		if err := w.f.Truncate(0); err != nil {
			return err
		}
		if _, err := w.f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		w.hash.Reset()
		w.done = 0
	}
	if validator == w.validator || validator == "" || len(validator) > maxValidator {
		return nil
	}
	if err := writeDurable(w.root, besidePart(w.name), []byte(validator), false, func(string) {}); err != nil {
		return err
	}
	w.validator = validator
	return nil
}

// Write adds to the part. A Source that has not called Begin writes from the first byte on.
func (w *part) Write(b []byte) (int, error) {
	if !w.begun {
		if err := w.Begin(0, ""); err != nil {
			return 0, err
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(b)) > w.length-w.done {
		w.err = fail(Verification, "too-long", "the download is longer than the %d bytes that were signed", w.length)
		return 0, w.err
	}
	n, err := w.f.Write(b)
	w.hash.Write(b[:n])
	w.done += int64(n)
	if w.done-w.noted >= noteEvery || w.done == w.length {
		w.noted = w.done
		w.note(w.done)
	}
	if err != nil {
		w.err = diskError(err, "write the download")
		return n, w.err
	}
	return n, nil
}

// leave closes the part, and removes it unless a later attempt can go on with it. On a disk that is full it would be in the way.
func (w *part) leave(keep bool) error {
	err := w.f.Close()
	if keep && w.err == nil && w.validator != "" && w.done > 0 {
		return err
	}
	return errors.Join(err, removePart(w.root, w.name))
}

func removePart(root *os.Root, name string) error {
	return errors.Join(root.RemoveAll(name), root.RemoveAll(besidePart(name)))
}

// keptPart is the one part that is kept for a later attempt: the youngest that can be resumed, if it is young; "" if there is none.
func keptPart(root *os.Root, now time.Time) (name string, size int64) {
	entries, _ := fs.ReadDir(root.FS(), downloadDir)
	var newest time.Time
	for _, e := range entries {
		at := downloadDir + "/" + e.Name()
		fi, err := e.Info()
		if err != nil || !strings.HasSuffix(at, ".part") || !fi.Mode().IsRegular() || now.Sub(fi.ModTime()) > partLife || !fi.ModTime().After(newest) {
			continue
		}
		if _, err := identifyIn(root, besidePart(at)); err == nil {
			name, size, newest = at, fi.Size(), fi.ModTime()
		}
	}
	return name, size
}
