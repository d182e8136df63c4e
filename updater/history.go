package updater

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/moult-go/moult/release"
)

// maxHistory bounds history.jsonl: beyond it the older half goes.
const maxHistory = 1 << 20

// appendHistory adds one line to history.jsonl.
func (u *Updater) appendHistory(a Attempt) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	f, err := u.openHistory()
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	// A power cut may have left half a line: this one must not be lost with it.
	last := []byte{'\n'}
	if end > 0 {
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := f.WriteAt(append(line, '\n'), end); err != nil {
		return err
	}
	return f.Sync()
}

// openHistory opens the file, makes it, or makes it shorter. A file that has another name elsewhere, or is no file, is not ours to write.
func (u *Updater) openHistory() (*os.File, error) {
	fi, err := u.root.Lstat(historyFile)
	if err == nil && fi.Mode().IsRegular() && isOurs(fi) && fi.Size() < maxHistory {
		return openRegular(u.root, historyFile, os.O_RDWR)
	}
	var old []byte
	if err == nil {
		old, _ = readRegular(u.root, historyFile, 16*maxHistory)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if over := len(old) - maxHistory/2; over > 0 {
		_, old, _ = bytes.Cut(old[over:], []byte{'\n'})
	}
	if err := writeDurable(u.root, historyFile, old, true, func(string) {}); err != nil {
		return nil, err
	}
	return openRegular(u.root, historyFile, os.O_RDWR)
}

// History returns the attempts that ended, oldest first. Lines that a power cut left damaged are skipped,
// and one that was written twice because the process was killed between two files is returned once.
func (u *Updater) History() ([]Attempt, error) {
	b, err := readRegular(u.root, historyFile, 16*maxHistory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(Failed, "io", "read the history: %w", err)
	}
	var all []Attempt
	for line := range bytes.Lines(b) {
		var a Attempt
		if json.Unmarshal(line, &a) != nil || a.ID == "" {
			continue
		}
		if n := len(all); n > 0 && all[n-1].ID == a.ID {
			all = all[:n-1]
		}
		all = append(all, a)
	}
	return all, nil
}

// findFloor reads the highest version that was committed here from the history, for when the state file is lost: without it an old
// release could be replayed.
func (u *Updater) findFloor() (floor release.Version) {
	all, err := u.History()
	if err != nil {
		u.log.Warn("look for the highest version that was installed", "err", err)
	}
	for _, a := range all {
		if v, err := release.ParseVersion(a.To); err == nil && a.Outcome == outcomeCommitted && v.Compare(floor) > 0 {
			floor = v
		}
	}
	return floor
}
