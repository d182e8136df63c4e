package updater

import (
	"context"
	"strconv"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater/owner"
)

// Status is what `app status --json` shows of the updater.
type Status struct {
	Running     string         `json:"running"`   // version of this process
	Installed   release.Digest `json:"installed"` // digest of the file at the install path
	InstallPath string         `json:"install_path"`
	StateDir    string         `json:"state_dir"`
	Source      string         `json:"source,omitempty"`
	Key         string         `json:"key,omitempty"` // ID of the minisign key by which the source trusts lone files
	Channel     string         `json:"channel,omitempty"`
	Constraint  string         `json:"constraint,omitempty"` // versions that are kept to
	Hold        *Hold          `json:"hold,omitempty"`       // while it lasts
	Windows     []string       `json:"windows,omitempty"`    // as ParseWindow reads them
	Window      *Opening       `json:"window,omitempty"`     // how they stand
	Owner       *owner.Package `json:"owner,omitempty"`      // of the executable, as far as a package manager was asked
	Disabled    string         `json:"disabled,omitempty"`   // what to do instead of updating
	Automatic   bool           `json:"automatic"`            // false: see Reason
	Reason      string         `json:"reason,omitempty"`
	Phase       string         `json:"phase"`             // journal phase: idle, staged, …
	Attempt     *Attempt       `json:"attempt,omitempty"` // under way
	Last        *Attempt       `json:"last,omitempty"`    // the last one that ended
	LastCheck   time.Time      `json:"last_check,omitzero"`
	CheckReason string         `json:"check_reason,omitempty"` // why the last check led to nothing
	CheckError  string         `json:"check_error,omitempty"`  // the same in words
	NextCheck   time.Time      `json:"next_check,omitzero"`
	LastAnswer  time.Time      `json:"last_answer,omitzero"` // the last check that the source answered
	Newer       string         `json:"newer,omitempty"`      // a newer version is offered to this host, as of the last check; see CheckReason for why it is not taken
	Expiries    []Expiry       `json:"expiries,omitempty"`   // of what the source trusts, as of the last check
	Attempts    map[string]int `json:"attempts"`             // that have ended, by outcome, since there is a state directory
	LastSuccess time.Time      `json:"last_success,omitzero"`
	Rollout     *Turn          `json:"rollout,omitempty"` // the newest waits for this host's turn, as of the last check
	Yanked      *release.Stop  `json:"yanked,omitempty"`  // the version that runs was withdrawn, as of the last check
	Disk        string         `json:"disk,omitempty"`    // a complaint about what stands at the install path
	// Obstacle is what would keep an update from replacing the executable now, as this process sees it: with its user, its mounts, its rights.
	Obstacle *Obstacle `json:"obstacle,omitempty"`
	// Exposed are directories on the way to the executable that other users may write: they can put another one there.
	Exposed    []string      `json:"exposed,omitempty"`
	Kept       []Kept        `json:"kept"` // versions to roll back to, newest first
	Quarantine []Quarantined `json:"quarantine"`
}

// Obstacle is a reason why nothing can be replaced, known before anything is fetched.
type Obstacle struct {
	Reason string `json:"reason"` // as an Error names it: "not-writable", "noexec", …
	Error  string `json:"error"`  // in words, with the way out
}

// Attempt is one try to change the version.
type Attempt struct {
	ID      string         `json:"id"`
	Kind    string         `json:"kind,omitempty"` // "upgrade" or "rollback"
	From    string         `json:"from"`
	To      string         `json:"to"`
	Digest  release.Digest `json:"digest"`
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended,omitzero"`
	Outcome string         `json:"outcome,omitempty"` // committed, rolled-back, failed, interrupted
	Class   Class          `json:"class,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Step    Phase          `json:"step,omitempty"` // at which it failed
	Words   string         `json:"last_words,omitempty"`
	Proof   string         `json:"proof,omitempty"` // "report", or "headers only" for a program that links none
	By      *Asker         `json:"by,omitempty"`    // who asked for it; absent: nobody, it came by itself
}

// Asker is who asked for something: a user of this host, and the process that spoke for them.
type Asker struct {
	UID  int    `json:"uid"`
	PID  int    `json:"pid,omitempty"`  // as it was then; 0 where the system does not tell
	User string `json:"user,omitempty"` // name, if the user has one
}

// String is for people: the name, if there is one.
func (a *Asker) String() string {
	switch {
	case a == nil:
		return "itself"
	case a.User == "":
		return "user " + strconv.Itoa(a.UID)
	}
	return a.User
}

// Kept is a version on disk to roll back to.
type Kept struct {
	Version string         `json:"version"`
	Digest  release.Digest `json:"digest"`
}

// Quarantined is a build that is not tried again.
type Quarantined struct {
	Digest  release.Digest `json:"digest"`
	Version string         `json:"version"`
	Reason  string         `json:"reason"`
	Since   time.Time      `json:"since"`
}

// The kinds of an Attempt.
const (
	kindUpgrade  = "upgrade"
	kindRollback = "rollback"
)

// reasonCrashLoop is that of a rollback after cold starts that died.
const reasonCrashLoop = "crash-loop"

// The outcomes of an Attempt.
const (
	outcomeCommitted   = "committed"
	outcomeRolledBack  = "rolled-back"
	outcomeFailed      = "failed"
	outcomeInterrupted = "interrupted"
)

// Status returns what is known now. It only reads, and works without the lock; the times of checks are
// those of this process.
func (u *Updater) Status() (Status, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	st := u.state
	if !u.held {
		var err error
		if st, err = u.readState(); err != nil {
			st = u.salvage(stateFile)
			st.Disk = "the state file cannot be read: " + err.Error()
		}
	}
	installed, err := u.diskDigest()
	if err != nil {
		return Status{}, fail(Failed, "io", "read the installed executable: %w", err)
	}
	s := Status{
		Running:     u.o.Version,
		Installed:   installed,
		InstallPath: u.path,
		StateDir:    u.dir,
		Channel:     u.o.Channel,
		Constraint:  u.keepTo.String(),
		Window:      opening(u.o.Windows, u.now()),
		Owner:       u.owned.pkg,
		Disabled:    u.o.Disabled,
		Phase:       string(st.Phase),
		LastCheck:   u.lastCheck,
		NextCheck:   u.nextCheck,
		LastAnswer:  u.answered,
		Newer:       u.newer,
		Expiries:    u.expiries,
		Rollout:     u.turn,
		Yanked:      u.yanked,
		Disk:        st.Disk,
		Exposed:     exposed(u.path),
		Kept:        []Kept{},
		Quarantine:  append([]Quarantined{}, st.Quarantine...),
	}
	s.Attempts, s.LastSuccess = st.Tally.counts()
	if st.Hold.holds(u.now()) {
		h := *st.Hold
		s.Hold = &h
	}
	for _, w := range u.o.Windows {
		s.Windows = append(s.Windows, w.String())
	}
	if u.refused != nil {
		s.CheckReason, s.CheckError = u.refused.Reason, printable(u.refused.Error(), 400)
	}
	if err := u.hindrance(); err != nil {
		e := asError(context.Background(), err, Failed, "io")
		s.Obstacle = &Obstacle{e.Reason, printable(e.Error(), 400)}
	}
	s.Reason = u.manualOnly()
	s.Automatic = s.Reason == ""
	if u.o.Source != nil {
		s.Source = u.o.Source.String()
		if k, ok := u.o.Source.(KeySource); ok {
			s.Key = k.Key()
		}
	}
	if st.Attempt != nil {
		a := st.Attempt.Attempt
		s.Attempt = &a
	}
	if st.Last != nil {
		a := *st.Last
		s.Last = &a
	}
	for _, k := range st.Kept {
		if k.Digest != installed {
			s.Kept = append(s.Kept, k)
		}
	}
	return s, nil
}
