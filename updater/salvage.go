package updater

import (
	"encoding/json"
	"io/fs"
	"path"
	"slices"
)

// salvage makes the state anew from a file that cannot be read as a whole, and from what can be seen on disk. What was under way is
// given up: the install path is the truth.
func (u *Updater) salvage(name string) *state {
	s := newState()
	if b, err := readRegular(u.root, name, maxState); err == nil {
		s.salvage(b)
	}
	s.Kept = u.findKept()
	if f := u.findFloor(); f.Compare(s.Floor) > 0 {
		s.Floor = f
	}
	if s.Tally == nil {
		s.Tally = u.tallyHistory()
	}
	return s
}

// salvage takes over, one by one, the fields of a document that is JSON at least: floor and quarantine protect a host.
func (s *state) salvage(b []byte) {
	var all map[string]json.RawMessage
	if json.Unmarshal(b, &all) != nil {
		return
	}
	lost := []string{"schema", "phase", "attempt", "kept"}
	for name, value := range all {
		if slices.Contains(lost, name) {
			continue
		}
		one, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err != nil {
			continue
		}
		if !slices.Contains(stateFields, name) {
			s.unknown[name] = value
			continue
		}
		trial := *s
		if json.Unmarshal(one, (*plainState)(&trial)) == nil {
			*s = trial
		}
	}
}

// findKept reads the directory of versions, the newest first, for when the state file is lost.
func (u *Updater) findKept() []Kept {
	entries, err := fs.ReadDir(u.root.FS(), "versions")
	if err != nil {
		u.log.Warn("look for kept versions", "err", err)
	}
	type found struct {
		Kept
		since int64
	}
	var list []found
	for _, e := range entries {
		file := path.Join("versions", e.Name(), u.name)
		fi, err := u.root.Lstat(path.Dir(file))
		if err != nil {
			continue
		}
		version, _, ok := cutLast(e.Name(), "-")
		d, err := digestIn(u.root, file)
		if k := (Kept{version, d}); ok && err == nil && u.keptFile(build(k)) == file {
			list = append(list, found{k, fi.ModTime().UnixNano()})
		}
	}
	slices.SortStableFunc(list, func(a, b found) int { return int(max(-1, min(1, b.since-a.since))) })
	var kept []Kept
	for _, f := range list {
		kept = append(kept, f.Kept)
	}
	return kept
}
