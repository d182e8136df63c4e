package updater

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/moult-go/moult/release"
)

// Check asks the source and applies the policy. It changes nothing but the metadata cache, and draws this host's seed where
// a rollout asks for one and there is none. What keeps an update from being applied goes into log and status under
// its reason.
func (u *Updater) Check(ctx context.Context, r Request) (Found, error) {
	f, err := u.check(ctx, r)
	switch {
	case err != nil:
		u.refuse(r, f, asError(ctx, err, Failed, "io"))
	case f.Stop != nil:
		u.refuse(r, f, f.Stop)
	case f.Candidate.Version.IsZero() && r.Manual:
		u.refuse(r, f, u.missing())
	default:
		u.refuse(r, f, nil)
	}
	return f, err
}

// missing says that there is nothing to take.
func (u *Updater) missing() *Error {
	return fail(Temporary, "missing", "%s offers nothing for %s", u.o.Source, release.Host())
}

// expected are the stops that are as somebody wants them, or pass by themselves.
var expected = []string{"rollout", "window", "held", "constraint", "still-changing"}

// refuse notes why nothing is applied; nil clears it. The log gets it when it is new, or a person has asked.
func (u *Updater) refuse(r Request, f Found, e *Error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := u.refused
	if u.refused = e; e == nil || e.Reason == "interrupted" {
		return
	}
	if r.Manual || known == nil || known.Error() != e.Error() {
		level := slog.LevelWarn
		if slices.Contains(expected, e.Reason) {
			level = slog.LevelInfo // as it should be
		}
		u.log.Log(context.Background(), level, "update not applied", "version", f.Candidate.Version.String(), "reason", e.Reason, "err", e)
	}
}

func (u *Updater) check(ctx context.Context, r Request) (Found, error) {
	f := Found{Current: u.o.Version}
	if u.o.Disabled != "" {
		f.Stop = u.disabled()
		return f, nil
	}
	source, err := u.source(r)
	if err != nil {
		return f, err
	}
	u.findPackage(ctx)
	r.event(Event{Phase: PhaseCheck, Message: source.String()})
	if err := u.inPlace(); err != nil { // a Source keeps its cache there, by path
		return f, err
	}
	offered, err := source.Check(ctx, u.query(r))
	var expiries []Expiry
	if s, ok := source.(interface{ Expiries() []Expiry }); ok {
		expiries = s.Expiries()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lastCheck, u.expiries = u.now(), expiries
	if err != nil {
		return f, asError(ctx, fmt.Errorf("check %s: %w", source, err), Temporary, "network")
	}
	u.answered = u.lastCheck
	if err := u.learnRunning(); err != nil {
		return f, err
	}
	st := u.state
	if !u.held {
		if st, err = u.readState(); err != nil {
			st = u.salvage(stateFile)
		}
	}
	offered = st.known(offered)
	h, err := u.host(st, offered)
	if err != nil {
		return f, err
	}
	c, err := Choose(offered, h, r, u.now())
	if err != nil {
		return f, err
	}
	u.turn = c.Turn
	u.noteYanked(offered)
	u.noteNewer(r, h, c.Candidate)
	f.Candidate, f.Stop, f.Turn, f.Again, f.late = c.Candidate, c.Stop, c.Turn, c.Again, c.late
	f.Current, f.Yanked = u.current.Version, u.yanked
	f.Available = c.Stop == nil && !c.Candidate.Version.IsZero() && !h.has(c.Candidate)
	if f.Available {
		if err := u.mayReplace(); err != nil {
			f.Stop, f.Available = asError(ctx, err, Failed, "io"), false
		}
	}
	return f, nil
}

// host is what this installation brings to a choice among the offers. The caller holds u.mu.
func (u *Updater) host(st *state, offered []Candidate) (Host, error) {
	installed, err := release.ParseVersion(u.current.Version)
	if err != nil {
		installed = u.version
	}
	h := Host{
		Platform: release.Host(), Version: u.version, Installed: installed, Digest: u.current.Digest,
		Floor: st.Floor, Channel: u.o.Channel, Constraint: u.keepTo, Hold: st.Hold, Owner: u.owned.pkg, Quarantine: st.Quarantine, Windows: u.o.Windows,
		failures: st.Failures,
		free:     u.freeSpace,
	}
	if slices.ContainsFunc(offered, func(c Candidate) bool { return c.Rollout != nil }) {
		if h.Seed, err = u.seed(); err != nil {
			return h, fail(diskClass(err), "io", "this host's seed: %w", err)
		}
	}
	return h, nil
}

// freeSpace is what a download may take: what is free, and what is there of an earlier one, which is gone on with or goes.
func (u *Updater) freeSpace() (uint64, error) {
	free, err := freeSpace(u.dir)
	_, have := keptPart(u.root, u.now())
	return free + uint64(have), err
}

// noteYanked remembers whether the build that runs was withdrawn, and says so at each change. Nothing is restarted for it:
// that a newer version can be taken, or an older one brought back, is somebody's decision. The caller holds u.mu.
func (u *Updater) noteYanked(offered []Candidate) {
	was := u.yanked
	u.yanked = nil
	for _, c := range offered {
		if c.Digest == u.running && c.Yanked != nil {
			u.yanked = c.Yanked
		}
	}
	switch {
	case u.yanked != nil && (was == nil || *was != *u.yanked):
		u.log.Warn("the version that runs was yanked by its publisher", "version", u.o.Version,
			"reason", printable(u.yanked.Reason, maxPublisher), "since", u.yanked.Since)
	case u.yanked == nil && was != nil:
		u.log.Info("the version that runs is no longer yanked", "version", u.o.Version)
	}
}

// noteNewer remembers whether what was chosen, or refused, is newer than what runs. What a person asks for by name or file
// says nothing about that. The caller holds u.mu.
func (u *Updater) noteNewer(r Request, h Host, c Candidate) {
	if r.Version != "" || r.File != "" {
		return
	}
	u.newer = ""
	if h.fits(c) && h.inChannel(c) && c.Version.Compare(u.version) > 0 {
		u.newer = c.Version.String()
	}
}
