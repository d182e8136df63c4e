package updater

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/moult-go/moult/release"
)

// Source is where releases come from. Implementations: package feed (a signed TUF feed) and package path
// (a file that an operator drops). A Source keeps no state between calls but what it stores in Query.CacheDir.
type Source interface {
	// Check returns what is offered for q, in any order, all of it verified as far as that goes without the payload.
	// An empty list means that nothing is offered now.
	Check(ctx context.Context, q Query) ([]Candidate, error)
	// Fetch writes the payload of c to dst: at most c.Length bytes. The caller checks the digest.
	Fetch(ctx context.Context, q Query, c Candidate, dst io.Writer) error
	// String names the source for people, without secrets: "feed https://example.com/hello".
	String() string
}

// Query is what a Source is asked for.
type Query struct {
	App      string
	Platform release.Platform
	Channel  string
	CacheDir string // private directory for trusted metadata; exists
	Logger   *slog.Logger
}

// Candidate is a release that a Source offers.
type Candidate struct {
	Version  release.Version
	Platform release.Platform
	Length   int64 // bytes
	Digest   release.Digest
	Notes    string
	Path     string // where the Source finds the payload again; its own business

	// Minisign is set when the payload carries a minisign signature that staging must verify as well.
	Minisign *Minisign
}

// Minisign is a detached signature and the key that it must verify with, both as minisign's own text.
type Minisign struct {
	PublicKey string
	Signature string
}

// Handover starts the executable at path with the sockets of this process, waits through its probation, runs
// commit and lets go. An error means that this process serves on; what the updater can learn
// from it, it asks for by the interface [Undoing]. grace.Process implements it.
type Handover interface {
	Handover(ctx context.Context, path string, commit func() error) error
}

// Undoing is implemented by a Handover's errors that know more.
type Undoing interface {
	error
	Verdict() bool // false: stopped or canceled, says nothing about the build
	Undone() bool  // it had been ready and was taken back
	Guilty() bool  // the build is to blame: quarantine its digest
	Words() string // its last words; untrusted text
}

// Options configures an Updater.
type Options struct {
	Name    string // of the application
	Version string // that runs now; one that does not parse ("dev") turns automatic updating off
	Source  Source

	Channel     string        // default "stable"
	Interval    time.Duration // between two checks; default 6 h for a feed, 5 s for a path
	InstallPath string        // default: this executable, links followed, resolved by New
	StateDir    string        // default: .NAME.d beside the install path
	Handover    Handover      // nil: replace alone, nothing to restart
	Logger      *slog.Logger  // default: discards
	Module      string        // main module that a candidate must report; default: that of this executable; "-" for any

	// ReplaceFirst replaces the executable before the handover and puts the previous one back on failure,
	// for those whose policies are bound to the path. Default: prove first, replace after probation.
	ReplaceFirst bool

	ProofTimeout time.Duration // default 10 s
}

// New checks o, resolves the install path and opens the state directory. It neither locks, polls nor recovers.
// In the stage and proof roles it does not return (package role).
func New(o Options) (*Updater, error) { panic("unwritten") }

// Updater brings newer releases to the install path.
type Updater struct{}

// Lock takes the update lock and recovers what a previous process left unfinished. It waits for a holder
// that is about to let go until ctx ends, then returns ErrBusy.
func (u *Updater) Lock(ctx context.Context) error { panic("unwritten") }

// Unlock gives the lock up, for the successor to take.
func (u *Updater) Unlock() error { panic("unwritten") }

// Adopt takes the lock over from a predecessor that died while this process was on probation, and returns
// the commit to run at the end of it (nil if there is nothing to commit).
func (u *Updater) Adopt(ctx context.Context) (commit func() error, err error) { panic("unwritten") }

// Spawned records the process of the attempt under way in the journal.
func (u *Updater) Spawned(pid int) { panic("unwritten") }

// Request is what a person or the loop asks for.
type Request struct {
	Version string      // "" for the newest
	Force   bool        // skip quarantine (and, later, hold); never verification
	Manual  bool        // asked for by a person: allows an explicit Version
	Events  func(Event) // progress; may be nil; must not block
}

// Outcome is how an attempt ended well.
type Outcome struct {
	Changed   bool           `json:"changed"` // false: already current
	From      string         `json:"from"`
	To        string         `json:"to"`
	Digest    release.Digest `json:"digest"`
	Restarted bool           `json:"restarted"` // false: replaced alone
}

// Found is the result of a check.
type Found struct {
	Current   string    // version that runs
	Available bool      // Candidate may be applied
	Candidate Candidate // the newest that is offered, if any
	Stop      *Error    // why it is not applied, if it is newer and stopped by policy
}

// Check asks the source and applies the policy. It changes nothing but the metadata cache.
func (u *Updater) Check(ctx context.Context, r Request) (Found, error) { panic("unwritten") }

// Upgrade checks, fetches, verifies, stages, proves, hands over and commits. Every error is an *Error.
func (u *Updater) Upgrade(ctx context.Context, r Request) (Outcome, error) { panic("unwritten") }

// Rollback brings a kept version back ("" for the previous one) the same way, and quarantines the digest it leaves.
func (u *Updater) Rollback(ctx context.Context, r Request) (Outcome, error) { panic("unwritten") }

// Run checks and upgrades until ctx ends, or an upgrade has replaced this process. The first check comes
// at a random moment of the first interval.
func (u *Updater) Run(ctx context.Context) error { panic("unwritten") }

// RestartFailed records that a handover to what stands at the install path (HUP) failed: the disk holds a build
// that failed. nil clears it.
func (u *Updater) RestartFailed(err error) { panic("unwritten") }

// Status returns what is known now. It only reads, and works without the lock.
func (u *Updater) Status() (Status, error) { panic("unwritten") }

// StateDir returns the state directory.
func (u *Updater) StateDir() string { panic("unwritten") }

// InstallPath returns the path that updates replace.
func (u *Updater) InstallPath() string { panic("unwritten") }

// Status is what `app status --json` shows of the updater.
type Status struct {
	Running     string         `json:"running"`   // version of this process
	Installed   release.Digest `json:"installed"` // digest of the file at the install path
	InstallPath string         `json:"install_path"`
	StateDir    string         `json:"state_dir"`
	Source      string         `json:"source,omitempty"`
	Channel     string         `json:"channel,omitempty"`
	Automatic   bool           `json:"automatic"` // false: see Reason
	Reason      string         `json:"reason,omitempty"`
	Phase       string         `json:"phase"`             // journal phase: idle, staged, …
	Attempt     *Attempt       `json:"attempt,omitempty"` // under way
	Last        *Attempt       `json:"last,omitempty"`    // the last one that ended
	LastCheck   time.Time      `json:"last_check,omitzero"`
	CheckError  string         `json:"check_error,omitempty"`
	NextCheck   time.Time      `json:"next_check,omitzero"`
	Disk        string         `json:"disk,omitempty"` // a complaint about what stands at the install path
	Kept        []Kept         `json:"kept"`           // versions to roll back to, newest first
	Quarantine  []Quarantined  `json:"quarantine"`
}

// Attempt is one try to change the version.
type Attempt struct {
	ID      string         `json:"id"`
	From    string         `json:"from"`
	To      string         `json:"to"`
	Digest  release.Digest `json:"digest"`
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended,omitzero"`
	Outcome string         `json:"outcome,omitempty"` // committed, rolled-back, failed, interrupted
	Class   Class          `json:"class,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Words   string         `json:"last_words,omitempty"`
	Proof   string         `json:"proof,omitempty"` // "report", or "headers only" for a program that links none
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
