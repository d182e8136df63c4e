package updater

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
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
	Hold       *Hold           `json:"hold,omitempty"`
	Quarantine []Quarantined   `json:"quarantine,omitempty"`
	Failures   []failure       `json:"failures,omitempty"`
	Disk       string          `json:"disk,omitempty"`
	Archives   []unpacked      `json:"archives,omitempty"` // the oldest first
	Cold       *coldStarts     `json:"cold_starts,omitempty"`
	Tally      *tally          `json:"tally,omitempty"`

	// Admin is the path of the admin socket of the server that took the lock last, for those who look here for it.
	Admin string `json:"admin,omitempty"`

	unknown map[string]json.RawMessage
}

// record is the attempt under way with what its recovery needs.
type record struct {
	Attempt
	FromDigest   release.Digest `json:"from_digest"`      // what stood at the install path
	Staged       string         `json:"staged,omitempty"` // name that is executed and renamed, below the state directory
	ReplaceFirst bool           `json:"replace_first,omitempty"`
	Process      *process       `json:"process,omitempty"` // the successor
	Leave        string         `json:"leave,omitempty"`   // of a rollback: why the version that is left goes into quarantine
	NoWayBack    bool           `json:"no_way_back,omitempty"`
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
var stateFields = []string{"schema", "phase", "attempt", "last", "floor", "kept", "hold", "quarantine", "failures", "disk", "archives", "cold_starts", "tally", "admin"}

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

const (
	stateFile   = "state.json"
	historyFile = "history.jsonl"
)

// readState returns a fresh state where there is none, with what can be seen on disk: the file may have been lost.
func (u *Updater) readState() (*state, error) {
	b, err := readRegular(u.root, stateFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		s := newState()
		s.Kept = u.findKept()
		s.Floor = u.findFloor()
		s.Tally = u.tallyHistory()
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := parseState(b)
	if err == nil {
		s.unskew(u.now())
		if s.Tally == nil {
			s.Tally = u.tallyHistory()
		}
	}
	return s, err
}

// unskew ends waits that began in the future: the clock was wrong then, or has been set back since.
func (s *state) unskew(now time.Time) {
	for i, f := range s.Failures {
		if now.Before(f.Since) {
			s.Failures[i].Until = now
		}
	}
}

// loadState sets a damaged file aside and goes on without it: a server must always start. What can be seen
// on disk, the kept versions, is found again.
func (u *Updater) loadState() error {
	s, err := u.readState()
	if isExhausted(err) {
		return diskError(err, "read the state file")
	}
	if err != nil {
		aside := stateFile + ".damaged-" + u.now().UTC().Format("20060102T150405.000000000")
		if err2 := u.root.Rename(stateFile, aside); err2 != nil {
			return diskError(errors.Join(err, err2), "set the damaged state file aside")
		}
		u.log.Error("the state file is damaged: set aside, quarantine and failures of builds are lost as far as they cannot be read",
			"err", err, "path", filepath.Join(u.dir, aside))
		s = u.salvage(aside)
	}
	u.state = s
	return nil
}

// save writes the state file. durable is false where losing the write in a power cut changes nothing.
func (u *Updater) save(durable bool) error {
	b, err := u.state.marshal()
	if err == nil {
		err = writeDurable(u.root, stateFile, b, durable, func(p string) { u.step("state " + string(u.state.Phase) + " " + p) })
	}
	if err != nil {
		return diskError(err, "write the state file")
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
		u.committed(u.state.Attempt)
	}
	if err := u.appendHistory(a); err != nil {
		u.log.Error("write the history", "err", err)
	}
	u.step("history")
	u.state.Last = &a
	u.state.Tally = u.state.Tally.with(a)
	u.state.Attempt = nil
	u.state.Phase = journalIdle
	err := u.save(true)
	u.sweep()
	return err
}

// committed is what follows from it, also when it is found at a recovery. The caller holds u.mu.
func (u *Updater) committed(r *record) {
	s := u.state
	if v, err := release.ParseVersion(r.To); err == nil && v.Compare(s.Floor) > 0 {
		s.Floor = v
	}
	s.forgive(r.Digest)
	s.Disk = ""
	if r.Kind == kindRollback {
		s.release(r.Digest)
		if r.Leave != "" {
			s.quarantine(build{r.From, r.FromDigest}, r.Leave, u.now())
		}
	}
	if err := u.keep(build{r.To, r.Digest}); err != nil {
		u.log.Warn("keep the new version", "err", err)
	}
	s.Cold = s.coldAfter(r)
}

// sweep removes what nothing refers to: staged versions of ended attempts, kept ones beyond the limit,
// partial downloads. The caller holds u.mu and the lock.
func (u *Updater) sweep() {
	wanted := map[string]bool{}
	for _, k := range u.state.Kept {
		wanted[versionWord(build(k))] = true
	}
	if a := u.state.Attempt; a != nil {
		wanted[path.Base(path.Dir(a.Staged))] = true
	}
	if place, err := u.place(); err == nil {
		clearAside(place, u.name) // fails while it runs
		place.Close()
	}
	u.removeBut("versions", wanted)
	if name, _ := keptPart(u.root, u.now()); name != "" {
		u.removeBut(downloadDir, map[string]bool{path.Base(name): true, path.Base(besidePart(name)): true})
	} else {
		u.removeBut(downloadDir, nil)
	}
}

func (u *Updater) removeBut(dir string, wanted map[string]bool) {
	entries, err := fs.ReadDir(u.root.FS(), dir)
	if err != nil {
		u.log.Warn("look for leftovers", "err", err)
	}
	for _, e := range entries {
		if wanted[e.Name()] {
			continue
		}
		if err := u.root.RemoveAll(path.Join(dir, e.Name())); err != nil {
			u.log.Warn("remove a leftover", "err", err)
		}
	}
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
