package updater

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
)

// stateSchema is the schema number of state.json. Both versions of an upgrade read the file, so fields are
// only ever added, and top-level ones that this version does not know survive its rewriting.
const stateSchema = 1

// maxState bounds what is read of a state file.
const maxState = 4 << 20

// journalPhase says how far an attempt came. Each is durable before the act that follows it.
type journalPhase string

const (
	journalIdle        journalPhase = "idle"
	journalStaged      journalPhase = "staged"       // whole and verified under its own name; the proof follows
	journalProven      journalPhase = "proven"       // it starts; the handover or the replacement follows
	journalHandingOver journalPhase = "handing-over" // a successor may be running (replace-first: the disk may have changed)
	journalProbation   journalPhase = "probation"    // it said that it is ready
	journalCommitting  journalPhase = "committing"   // the replacement may have happened
	journalCommitted   journalPhase = "committed"    // it has happened, for good
	journalRollingBack journalPhase = "rolling-back" // the previous version may be back at the install path
	journalRolledBack  journalPhase = "rolled-back"  // it is
)

// transitions is every legal step. Each phase but idle may also end the attempt, which leads to idle.
var transitions = map[journalPhase][]journalPhase{
	journalIdle:        {journalStaged, journalProven, journalCommitting}, // a kept version is proven; a restore only commits
	journalStaged:      {journalProven},
	journalProven:      {journalHandingOver, journalCommitting},
	journalHandingOver: {journalProbation, journalCommitting, journalCommitted, journalRollingBack},
	journalProbation:   {journalCommitting, journalCommitted, journalRollingBack},
	journalCommitting:  {journalCommitted, journalRollingBack},
	journalCommitted:   {journalRollingBack}, // the successor died before it knew
	journalRollingBack: {journalRolledBack},
	journalRolledBack:  {},
}

// state is the document state.json.
type state struct {
	Schema     int             `json:"schema"`
	Phase      journalPhase    `json:"phase"`
	Attempt    *record         `json:"attempt,omitempty"`
	Last       *Attempt        `json:"last,omitempty"`
	Floor      release.Version `json:"floor"` // highest version ever committed
	Kept       []Kept          `json:"kept,omitempty"`
	Quarantine []Quarantined   `json:"quarantine,omitempty"`
	Failures   []failure       `json:"failures,omitempty"`
	Disk       string          `json:"disk,omitempty"`

	unknown map[string]json.RawMessage
}

// record is the attempt under way with what its recovery needs.
type record struct {
	Attempt
	FromDigest   release.Digest `json:"from_digest"`      // what stood at the install path
	Staged       string         `json:"staged,omitempty"` // name that is executed and renamed, below the state directory
	ReplaceFirst bool           `json:"replace_first,omitempty"`
	Process      *process       `json:"process,omitempty"` // the successor
}

func newState() *state {
	return &state{Schema: stateSchema, Phase: journalIdle, unknown: map[string]json.RawMessage{}}
}

func (s *state) marshal() ([]byte, error) {
	known, err := json.Marshal((*plainState)(s))
	if err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(known, &all); err != nil {
		return nil, err
	}
	for k, v := range s.unknown {
		if _, ok := all[k]; !ok {
			all[k] = v
		}
	}
	return json.MarshalIndent(all, "", "  ")
}

type plainState state

// stateFields are the names that this version knows; the others are kept as they are.
var stateFields = []string{"schema", "phase", "attempt", "last", "floor", "kept", "quarantine", "failures", "disk"}

func parseState(b []byte) (*state, error) {
	s := newState()
	if len(b) > maxState {
		return nil, fmt.Errorf("parse state: %d bytes, more than %d", len(b), maxState)
	}
	if err := json.Unmarshal(b, (*plainState)(s)); err != nil {
		return nil, fmt.Errorf("parse state: %w", err)
	}
	if err := json.Unmarshal(b, &s.unknown); err != nil {
		return nil, fmt.Errorf("parse state: %w", err)
	}
	for _, k := range stateFields {
		delete(s.unknown, k)
	}
	if s.Schema < 1 {
		return nil, fmt.Errorf("parse state: schema %d", s.Schema)
	}
	if _, ok := transitions[s.Phase]; !ok {
		return nil, fmt.Errorf("parse state: phase %.40q", s.Phase)
	}
	if s.Phase == journalIdle {
		s.Attempt = nil // it had left nothing to recover yet
	} else if s.Attempt == nil {
		return nil, fmt.Errorf("parse state: phase %s without an attempt", s.Phase)
	}
	if s.Attempt != nil && s.Attempt.Staged != "" && !filepath.IsLocal(s.Attempt.Staged) {
		return nil, fmt.Errorf("parse state: staged %.80q lies elsewhere", s.Attempt.Staged)
	}
	return s, nil
}

func (u *Updater) statePath() string { return filepath.Join(u.dir, "state.json") }

// readState returns a fresh state where there is none.
func (u *Updater) readState() (*state, error) {
	b, err := os.ReadFile(u.statePath())
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return nil, err
	}
	return parseState(b)
}

// loadState sets a damaged file aside and goes on without it: a server must always start. What can be seen
// on disk, the kept versions, is found again.
func (u *Updater) loadState() error {
	s, err := u.readState()
	if err != nil {
		aside := u.statePath() + ".damaged-" + u.now().UTC().Format("20060102T150405.000000000")
		if err2 := os.Rename(u.statePath(), aside); err2 != nil {
			return fail(Failed, "io", "set the damaged state file aside: %w", errors.Join(err, err2))
		}
		u.log.Error("the state file is damaged: set aside, history and quarantine of builds are lost", "err", err, "path", aside)
		s = newState()
		s.Kept = u.findKept()
	}
	u.state = s
	return nil
}

// save writes the state file. durable is false where losing the write in a power cut changes nothing.
func (u *Updater) save(durable bool) error {
	b, err := u.state.marshal()
	if err == nil {
		err = writeDurable(u.statePath(), b, durable, func(p string) { u.step("state " + string(u.state.Phase) + " " + p) })
	}
	if err != nil {
		return fail(diskClass(err), "io", "write the state file: %w", err)
	}
	return nil
}

// advance writes the next phase of the attempt under way. The caller holds u.mu.
func (u *Updater) advance(next journalPhase) error {
	from := u.state.Phase
	if !slices.Contains(transitions[from], next) {
		return fail(Failed, "io", "journal: %s does not follow %s", next, from)
	}
	u.state.Phase = next
	if err := u.save(true); err != nil {
		u.state.Phase = from
		return err
	}
	return nil
}

// enter is advance for callers that do not hold u.mu.
func (u *Updater) enter(next journalPhase) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.advance(next)
}

// conclude ends the attempt a: one line of history, then idle. The caller holds u.mu and has changed
// what else the state is to say.
func (u *Updater) conclude(a Attempt) error {
	a.Ended = u.now()
	if a.Outcome == outcomeCommitted {
		if v, err := release.ParseVersion(a.To); err == nil && v.Compare(u.state.Floor) > 0 {
			u.state.Floor = v
		}
	}
	if err := u.appendHistory(a); err != nil {
		u.log.Error("write the history", "err", err)
	}
	u.step("history")
	u.state.Last = &a
	u.state.Attempt = nil
	u.state.Phase = journalIdle
	err := u.save(true)
	u.sweep()
	return err
}

// sweep removes what nothing refers to: staged versions of ended attempts, kept ones beyond the limit,
// partial downloads. The caller holds u.mu and the lock.
func (u *Updater) sweep() {
	wanted := map[string]bool{}
	for _, k := range u.state.Kept {
		wanted[filepath.Base(u.versionDir(build(k)))] = true
	}
	if a := u.state.Attempt; a != nil {
		wanted[filepath.Base(filepath.Dir(a.Staged))] = true
	}
	u.removeBut(filepath.Join(u.dir, "versions"), wanted)
	u.removeBut(filepath.Join(u.dir, "download"), nil)
}

func (u *Updater) removeBut(dir string, wanted map[string]bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		u.log.Warn("look for leftovers", "err", err)
	}
	for _, e := range entries {
		if wanted[e.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			u.log.Warn("remove a leftover", "err", err)
		}
	}
}

// findKept reads the directory of versions, for when the state file is lost.
func (u *Updater) findKept() []Kept {
	dir := filepath.Join(u.dir, "versions")
	entries, _ := os.ReadDir(dir)
	var kept []Kept
	for _, e := range entries {
		file := filepath.Join(dir, e.Name(), u.name)
		if _, err := identifyFile(file); err != nil {
			continue
		}
		version, _, ok := cutLast(e.Name(), "-")
		d, _, err := release.DigestFile(file)
		if k := (Kept{version, d}); ok && err == nil && u.versionFile(build(k)) == file {
			kept = append(kept, k)
		}
	}
	return kept
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// newID names an attempt: its time, so that names sort, and some chance.
func newID(t time.Time) string {
	return t.UTC().Format("20060102T150405") + "-" + strings.ToLower(rand.Text()[:6])
}

// appendHistory adds one line to history.jsonl.
func (u *Updater) appendHistory(a Attempt) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(u.historyPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

func (u *Updater) historyPath() string { return filepath.Join(u.dir, "history.jsonl") }

// History returns the attempts that ended, oldest first. Lines that a power cut left damaged are skipped,
// and one that was written twice because the process was killed between two files is returned once.
func (u *Updater) History() ([]Attempt, error) {
	b, err := os.ReadFile(u.historyPath())
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
