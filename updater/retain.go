package updater

import "slices"

// defaultKeep is how many versions are kept, that which is installed included.
const defaultKeep = 4

// retain chooses which of the kept versions stay; list begins with what is installed, then the newest first. That one and the
// previous one stay whatever the limits say, the others while there is room. The caller holds u.mu.
func (u *Updater) retain(list []Kept) []Kept {
	keep := u.o.KeepVersions
	if keep == 0 {
		keep = defaultKeep
	}
	var used int64
	seen := map[identity]bool{}
	if id, err := identifyFile(u.path); err == nil {
		seen[id] = true // a second name of the installed file takes no room
	}
	room := func(k Kept) bool {
		id, err := identifyIn(u.root, u.keptFile(build(k)))
		if err == nil && !seen[id] {
			seen[id] = true
			used += id.size
		}
		return u.o.KeepBytes == 0 || used <= u.o.KeepBytes
	}
	must := list[:min(1, len(list))]
	if k := u.previous(list); k != nil {
		must = append(slices.Clip(must), *k)
	}
	for _, k := range must {
		room(k)
	}
	left := keep - len(must)
	return slices.DeleteFunc(slices.Clone(list), func(k Kept) bool {
		if slices.Contains(must, k) {
			return false
		}
		left--
		return left < 0 || !room(k)
	})
}

// previous is the version that a rollback would bring back: the newest that is neither installed nor in quarantine. If all of them are, it is
// the newest.
func (u *Updater) previous(list []Kept) *Kept {
	if len(list) < 2 {
		return nil
	}
	for i := range list[1:] {
		if u.state.quarantined(list[i+1].Digest) == nil {
			return &list[i+1]
		}
	}
	return &list[1]
}
