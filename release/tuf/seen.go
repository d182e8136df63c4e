package tuf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
)

// What a host once saw of the brake holds on: a thief of the online key who takes an entry out again frees only hosts that
// never saw it. What is kept is about releases of one index, one entry for each way to be stopped, so that he cannot flood it either; the index, which he
// cannot sign, says what is resumed or gone.

const (
	maxSeen        = 1 << 20 // bytes
	maxSeenEntries = 512
)

// seenBrake is the content of the file that keeps the entries for one index.
type seenBrake struct {
	Schema  int                  `json:"schema"`
	Entries []release.BrakeEntry `json:"entries"`
}

// applyBrake marks the releases of the index at a path that the brake stops, or stopped when it was last seen, and remembers
// that.
func (c *Client) applyBrake(path string, ix *release.Index) {
	old := c.cache.seen(path)
	k := release.Brake{Entries: old}
	if c.brake != nil {
		k.Entries = slices.Concat(c.brake.Entries, old)
	}
	c.warn("keep what was seen of the feed's brake", c.cache.putSeen(path, holding(k.Entries, ix), old))
	k.Apply(ix)
}

// holding returns those of entries that stop a release of ix: for each release the last halt and the last yank.
func holding(entries []release.BrakeEntry, ix *release.Index) []release.BrakeEntry {
	var all []release.BrakeEntry
	for _, rel := range ix.Releases {
		last := make(map[bool]release.BrakeEntry) // by whether it is a yank
		for _, e := range entries {
			matches := e.Version.Compare(rel.Version) == 0 && (e.Channel == "" || e.Channel == ix.Channel)
			if yank := e.Action == release.Yank; matches && e.Serial > max(rel.Resumed, last[yank].Serial) {
				last[yank] = e
			}
		}
		for _, yank := range []bool{false, true} {
			if e, ok := last[yank]; ok && len(all) < maxSeenEntries {
				all = append(all, e)
			}
		}
	}
	return all
}

// seen returns the entries that are kept for the index at a path.
func (c *cache) seen(path string) []release.BrakeEntry {
	b, err := readCapped(c.path(seenFile(path)), maxSeen)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s seenBrake
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err == nil && s.Schema != release.IndexSchema {
		err = fmt.Errorf("schema %d", s.Schema)
	}
	if err != nil {
		if err := c.drop(seenFile(path), err); err != nil {
			c.log.Warn("drop broken feed cache", "err", err)
		}
		return nil
	}
	return s.Entries
}

// putSeen keeps entries, if they are others than those that are kept.
func (c *cache) putSeen(path string, entries, old []release.BrakeEntry) error {
	if len(entries) == 0 {
		return removeFile(c.path(seenFile(path)))
	}
	b, err := json.Marshal(seenBrake{release.IndexSchema, entries})
	if err != nil {
		return err
	}
	if was, err := json.Marshal(seenBrake{release.IndexSchema, old}); err == nil && bytes.Equal(b, was) {
		return nil
	}
	return replaceFile(c.path(seenFile(path)), b)
}

// seenFile is the name of the file that keeps what was seen of the brake for the index at a path.
func seenFile(path string) string { return "seen-" + strings.ReplaceAll(path, "/", "~") + ".cache" }
