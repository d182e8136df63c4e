package updater

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/moult-go/moult/release"
)

// trial is an attempt in this process. Its record is what the journal says of it.
type trial struct {
	build    build
	platform release.Platform
	rec      *record
	path     string   // what is executed
	id       identity // of the file there, since it was proven
	onDisk   bool     // it stands at the install path
	broken   error    // why the commit failed
	at       Phase    // of the last event
}

// watch is r with events that name the attempt; it notes where the trial is.
func (t *trial) watch(r Request) Request {
	tell := r.Events
	r.Events = func(e Event) {
		t.at = e.Phase
		if tell != nil {
			e.Attempt = t.rec.ID
			tell(e)
		}
	}
	return r
}

// failedAt is the step at which the trial failed. A successor that was ready was on probation.
func (t *trial) failedAt(e *Error) Phase {
	if e.Class == Undone && t.at == PhaseHandover {
		return PhaseProbation
	}
	return t.at
}

// Upgrade checks, fetches, verifies, stages, proves, hands over and commits. Every error is an *Error.
// Without the lock it takes it for as long as it needs it.
func (u *Updater) Upgrade(ctx context.Context, r Request) (Outcome, error) {
	end, err := u.begin()
	if err != nil {
		return Outcome{}, err
	}
	defer end()
	f, err := u.Check(ctx, r)
	switch {
	case err != nil:
		return Outcome{}, err
	case f.Stop != nil:
		return Outcome{}, f.Stop
	case f.Candidate.Version.IsZero() && r.Manual:
		return Outcome{}, u.missing()
	case !f.Available:
		b := u.atPath()
		return Outcome{From: b.Version, To: b.Version, Digest: b.Digest}, nil
	}
	c := f.Candidate
	t := &trial{build: build{c.Version.String(), c.identity()}, platform: c.Platform}
	if err := u.newAttempt(t, kindUpgrade, r.By); err != nil {
		return Outcome{}, err
	}
	r = t.watch(r)
	return u.finish(ctx, r, t, u.bring(ctx, r, t, c))
}

// atPath returns what the install path names, as far as we know.
func (u *Updater) atPath() build {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.current
}

// begin makes attempts go one at a time, takes the lock if this process does not hold it, and recovers what an
// earlier attempt could not end.
func (u *Updater) begin() (end func(), err error) {
	if !u.flow.TryLock() {
		u.mu.Lock()
		defer u.mu.Unlock()
		return nil, fail(Busy, "busy", "%w (%s)", ErrBusy, u.state.Phase)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.held {
		if err := u.recover(); err != nil {
			u.flow.Unlock()
			return nil, err
		}
		return u.flow.Unlock, nil
	}
	u.mu.Unlock()
	once, cancel := context.WithCancel(context.Background())
	cancel()
	err = u.Lock(once)
	u.mu.Lock()
	if err != nil {
		u.flow.Unlock()
		return nil, err
	}
	return func() { u.Unlock(); u.flow.Unlock() }, nil
}

// newAttempt notes what runs and what stands at the install path. If somebody else has put another file there
// since the lock was taken, nothing is tried: it would be lost.
func (u *Updater) newAttempt(t *trial, kind string, by *Asker) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.hindrance(); err != nil {
		return err
	}
	disk, err := u.diskDigest()
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	from := u.current
	if disk != from.Digest {
		from = build{"unknown", disk}
	}
	now := u.now()
	if t.path == "" {
		t.path = u.versionFile(t.build)
	}
	below, err := u.below(t.path)
	if err != nil {
		return fail(Failed, "io", "name the staged version: %w", err)
	}
	t.rec = &record{
		Attempt:      Attempt{ID: newID(now), Kind: kind, From: from.Version, To: t.build.Version, Digest: t.build.Digest, Started: now, By: by},
		FromDigest:   from.Digest,
		Staged:       below,
		ReplaceFirst: u.o.ReplaceFirst && u.o.Handover != nil,
	}
	u.state.Attempt = t.rec
	u.log.Info("upgrade begins", "attempt", t.rec.ID, "kind", kind, "from", from.Version, "to", t.build.Version, "by", by.String())
	return nil
}

// hindrance is what an attempt would fail for whatever it is to bring. The caller holds u.mu.
func (u *Updater) hindrance() error {
	if u.held { // until then another process may commit; what stands there is looked at when the lock is taken
		if err := u.stillInstalled(); err != nil {
			return err
		}
	}
	if err := u.inPlace(); err != nil {
		return err
	}
	return u.mayReplace()
}

func (u *Updater) stillInstalled() error {
	id, err := identifyFile(u.path)
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	if id != u.installed {
		return fail(Failed, "replaced-by-someone-else",
			"%s was replaced by someone else since this program started: restart it, or put the file back", u.path)
	}
	return nil
}

// bring takes the candidate c from its source to the install path.
func (u *Updater) bring(ctx context.Context, r Request, t *trial, c Candidate) error {
	ways := c.ways(t.rec.FromDigest)
	if len(ways) == 0 { // what stands at the install path is not what the policy saw
		return fail(Policy, "unknown-format", "version %s: no payload that this program can decode", c.Version)
	}
	for i, p := range ways {
		err := u.fetchAndStage(ctx, r, t, c, p)
		if err == nil {
			break
		}
		if i == len(ways)-1 || ctx.Err() != nil {
			return err
		}
		// Whatever is wrong with a delta says nothing about the build.
		reason := asError(ctx, err, Failed, "io").Reason
		u.log.Warn("delta not used, full download instead", "version", c.Version.String(), "reason", reason, "err", err)
		r.event(Event{Phase: PhaseFetch, Version: c.Version.String(), Message: "the delta cannot be used (" + reason + "): full download"})
	}
	if err := u.enter(journalStaged); err != nil {
		return err
	}
	return u.proveAndApply(ctx, r, t)
}

func (u *Updater) fetchAndStage(ctx context.Context, r Request, t *trial, c Candidate, p way) error {
	payload, err := u.fetch(ctx, r, c, p)
	if err != nil {
		return err
	}
	defer removePart(u.root, downloadDir+"/"+filepath.Base(payload))
	version := t.build.Version
	r.event(Event{Phase: PhaseVerify, Version: version, Message: "sha256 " + c.identity().String()})
	if err := u.verifySignature(c, p, payload); err != nil {
		return err
	}
	r.event(Event{Phase: PhaseStage, Version: version, Message: p.what()})
	staged, err := u.stage(ctx, c, p, payload, t.path)
	if err != nil {
		return err
	}
	if c.isLearned() {
		if err := u.learn(r, t, staged); err != nil {
			return err
		}
	}
	u.log.Info("staged", "version", version, "payload", p.what(), "bytes", p.Length, "full", c.Full.Length)
	return nil
}

func (u *Updater) proveAndApply(ctx context.Context, r Request, t *trial) error {
	r.event(Event{Phase: PhaseProve, Version: t.build.Version})
	if err := u.inPlace(); err != nil { // it is executed by its path
		return err
	}
	id, err := identifyFile(t.path)
	if err != nil {
		return fail(Failed, "io", "prove version %s: %w", t.build.Version, err)
	}
	t.id = id
	proof, err := u.prove(ctx, claim{"version " + t.build.Version, t.build.Version, t.platform, u.module}, t.path)
	if err != nil {
		return err
	}
	u.mu.Lock()
	t.rec.Proof = proof
	err = u.advance(journalProven)
	u.mu.Unlock()
	if err != nil {
		return err
	}
	return u.apply(ctx, r, t)
}

// finish writes how the attempt ended.
func (u *Updater) finish(ctx context.Context, r Request, t *trial, err error) (Outcome, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := t.rec.Attempt
	if err == nil {
		a.Outcome = outcomeCommitted
		if t.rec.Leave == reasonCrashLoop {
			a.Class, a.Reason = Undone, reasonCrashLoop
		}
		if err := u.conclude(a); err != nil {
			// The executable is in place and the journal says committed: the next start ends the attempt.
			u.log.Error("end the attempt in the journal", "err", err)
		}
		u.log.Info("upgrade ends", "attempt", a.ID, "from", a.From, "to", a.To, "outcome", a.Outcome)
		return Outcome{Attempt: a.ID, Changed: true, From: a.From, To: a.To, Digest: a.Digest, Restarted: u.o.Handover != nil}, nil
	}
	e := asError(ctx, err, Failed, "io")
	v := u.verdict(e, t)
	a.Outcome, a.Class, a.Reason, a.Step, a.Words = v.outcome, e.Class, e.Reason, t.failedAt(e), wordsOf(err)
	u.log.Warn("upgrade ends", "attempt", a.ID, "from", a.From, "to", a.To, "outcome", a.Outcome, "reason", a.Reason, "err", e)
	if v.guilty {
		u.state.quarantine(t.build, e.Reason, u.now())
	} else if v.blame {
		u.state.blame(t.build, v.counts, u.interval(), u.now())
	}
	if t.onDisk && u.o.Handover != nil { // and could not be put back
		e = &Error{NotRestarted, e.Reason, e.Err}
	}
	if u.state.Phase == journalRollingBack {
		return Outcome{}, e // the previous version is not back yet: recovery has the last word
	}
	if u.state.Phase == journalIdle && e.Class == Temporary {
		// A source that cannot be reached is no event in the life of this installation: nothing is written.
		u.state.Attempt = nil
		u.sweep()
		return Outcome{}, e
	}
	if cerr := u.conclude(a); cerr != nil {
		u.log.Error("end the attempt in the journal", "err", cerr)
	}
	return Outcome{}, e
}

// verdict is what a failure means for the build.
type verdict struct {
	outcome string
	guilty  bool // quarantine at once
	blame   bool // wait before the next try
	counts  bool // the third of these quarantines
}

func (u *Updater) verdict(e *Error, t *trial) verdict {
	v := verdict{outcome: outcomeFailed, blame: e.Class != Busy && e.Reason != "replaced-by-someone-else"}
	v.counts = e.Class == Failed && (e.Reason == "stage-failed" || e.Reason == "proof-failed")
	if e.Reason == "interrupted" {
		v.outcome = outcomeInterrupted
		return v
	}
	var undoing Undoing
	if !errors.As(e, &undoing) {
		if e.Reason == "handover-failed" {
			v.counts = true
		}
		return v
	}
	if e.Class == Undone {
		v.outcome = outcomeRolledBack
	}
	v.guilty = undoing.Guilty() && t.broken == nil
	v.counts = t.broken == nil // a commit that fails is not the build's fault
	return v
}

// Spawned records the process of the attempt under way in the journal, durably: so it takes as long as
// the disk takes.
func (u *Updater) Spawned(pid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.held || u.state.Attempt == nil || u.state.Phase != journalHandingOver {
		return
	}
	p := lookUp(pid)
	u.state.Attempt.Process = &p
	if err := u.save(true); err != nil {
		u.log.Error("record the successor", "pid", pid, "err", err)
	}
}

// Standby records that the successor is ready and on probation. It does not wait for the disk: recovery does
// the same with and without it.
func (u *Updater) Standby() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.held || u.state.Phase != journalHandingOver {
		return
	}
	u.state.Phase = journalProbation
	if err := u.save(false); err != nil {
		u.log.Error("record the probation", "err", err)
	}
}

func describeHandover(err error) *Error {
	var busy interface{ Busy() bool }
	if errors.As(err, &busy) && busy.Busy() {
		return &Error{Busy, "busy", fmt.Errorf("%w: %w", ErrBusy, err)}
	}
	var undoing Undoing
	if !errors.As(err, &undoing) {
		return &Error{Failed, "handover-failed", err}
	}
	reason := printable(undoing.Error(), 200)
	var named interface{ Reason() string }
	if errors.As(err, &named) {
		reason = printable(named.Reason(), 200)
	}
	switch {
	case !undoing.Verdict():
		return &Error{Failed, "interrupted", err}
	case undoing.Undone():
		return &Error{Undone, reason, err}
	}
	return &Error{Failed, reason, err}
}
