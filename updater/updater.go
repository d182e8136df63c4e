package updater

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater/owner"
)

// Source is where releases come from. Implementations: package feed (a signed TUF feed) and package path
// (a file that an operator drops). A Source keeps no state between calls but what it stores in Query.CacheDir.
// It may also have a method Interval() time.Duration: the default time between two checks; and a method
// Watch(ctx context.Context, q Query, wake func()), which calls wake when a check may find something else than the last one, and
// returns when ctx ends.
type Source interface {
	// Check returns what is offered for q, in any order, all of it verified as far as that goes without the payload.
	// An empty list means that nothing is offered now.
	Check(ctx context.Context, q Query) ([]Candidate, error)
	// Fetch writes a payload of a candidate to dst: at most p.Length bytes. The caller checks the digest.
	Fetch(ctx context.Context, q Query, p release.Payload, dst io.Writer) error
	// String names the source for people, without secrets: "feed https://example.com/hello".
	String() string
}

// KeySource is a Source that trusts lone files by a minisign key.
type KeySource interface {
	Source
	// Key is its ID in hexadecimal; "" if there is none, or it does not parse.
	Key() string
}

// Expiry says until when the Source trusts what it has from one of its publisher's roles. A Source that knows implements
// Expiries() []Expiry, which is asked after each check.
type Expiry struct {
	Role      string    `json:"role"`    // one of a few fixed names
	Version   int64     `json:"version"` // of the metadata
	Expires   time.Time `json:"expires"`
	EndsSoon  bool      `json:"ends_soon,omitempty"` // its publisher should have renewed it by now
	Keys      []string  `json:"keys"`                // IDs of those who sign the role, in hexadecimal
	Threshold int       `json:"threshold"`           // how many of them have to
}

// FileSource is a Source whose policy of trust can be applied to one file on disk: those with a minisign key.
type FileSource interface {
	Source
	// File returns the source that offers the file at path.
	File(path string) Source
}

// Query is what a Source is asked for.
type Query struct {
	App      string
	Platform release.Platform
	Channel  string
	CacheDir string // private directory for trusted metadata; exists
	Logger   *slog.Logger

	// A source for which every release costs a request may look only into those that can matter: newer than Installed, or Version.
	// The newest one it names in any case, if with nothing but its version, so that it can be told from there being none.
	Installed release.Version // zero if it is not known
	Version   release.Version // that a person asks for; zero: the newest
}

// Candidate is a release that a Source offers.
type Candidate struct {
	Version  release.Version
	Platform release.Platform
	Length   int64          // of the executable, bytes
	Digest   release.Digest // of the executable
	Notes    string
	Channel  string // in which it is offered; "": the source knows of no channels

	Full   release.Payload // the whole executable
	Member string          // its base name in a Full that is an archive; Length and Digest may then both be zero: they are learned
	Deltas []release.Delta // what makes it from another one

	// What the publisher says of who may take it, as in release.Release.
	Minimum  release.Version
	Critical bool
	Rollout  *release.Rollout
	Halted   *release.Stop
	Yanked   *release.Stop

	// Minisign is set when the full payload carries a minisign signature, which is verified before anything is made of it.
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

// Undoing is implemented by a Handover's errors that know more. Such an error may also have a method
// Reason() string, a short fixed name; and one with Busy() bool says that the handover never began.
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
	Source  Source // nil: nothing to update from; status, rollback and RestartFailed work

	Channel     string        // default "stable"
	Constraint  string        // versions to keep to, as release.ParseConstraint reads it: ">= 1.2, < 2"; default: any
	Windows     []Window      // when updates are applied by themselves; default: at any time
	Interval    time.Duration // between two checks; default: the Source's own (6 h for a feed, 5 s for a path); negative: only when asked
	InstallPath string        // default: this executable, links followed, resolved by New
	StateDir    string        // default: .NAME.d beside the install path
	Handover    Handover      // nil: replace alone, nothing to restart
	Logger      *slog.Logger  // default: discards
	Module      string        // main module that a candidate must report; default: that of this executable; "-" for any

	// ReplaceFirst replaces the executable before the handover and puts the previous one back on failure,
	// for those whose policies are bound to the path. Default: prove first, replace after probation.
	ReplaceFirst bool

	// FollowInstalled lets Replaced tell the holder of the update lock, too, of what others put at the install path, such as a package
	// manager. Default: only processes without the lock.
	FollowInstalled bool

	// Disabled turns self-updating off and says what to do instead ("update it with apt"), for builds that others distribute. Nothing is
	// looked for; a restart, a rollback and the status work.
	Disabled string

	// KeepVersions is how many versions stay on disk to go back to, that which is installed included. Default 4, and never less than
	// the installed and the previous one.
	KeepVersions int
	// KeepBytes limits the room that they take beside the installed file; the previous one stays all the same. Default 0: no limit.
	KeepBytes int64
	// IgnorePackageManager updates the executable even if a package manager owns it. Default: it is asked, and if it does, nothing is replaced.
	IgnorePackageManager bool

	ProofTimeout time.Duration // default 10 s

	// Progress and Ended are told of the upgrades that Run begins by itself, as Request.Events and the caller of Upgrade are of others.
	// They must not block. Default: nobody.
	Progress func(Event)
	Ended    func(Outcome, error)
}

// Updater brings newer releases to the install path. Its methods may be called from any goroutine.
type Updater struct {
	o       Options
	log     *slog.Logger
	version release.Version // of this process; zero if it does not parse
	keepTo  release.Constraint
	path    string     // install path
	name    string     // its base
	dir     string     // state directory: its name, for what must have one
	root    *os.Root   // the same, opened once: what is read and written there goes through it
	module  string     // "" for any
	flow    sync.Mutex // held through an attempt
	flock   *flock.Flock
	now     func() time.Time
	step    func(point string) // tests end the process here
	pause   func(context.Context, time.Duration) error
	image   func(pid int) (os.FileInfo, error)

	poll, rest time.Duration // of the installed executable
	managers   []string      // lock files of package managers

	asking   sync.Mutex // held while a package manager is asked
	askOwner func(ctx context.Context, path string) (*owner.Package, error)

	mu        sync.Mutex
	held      bool   // the update lock is ours, and state is what the disk says
	state     *state // journal
	installed identity
	digests   digestCache
	running   release.Digest // of the image of this process; zero until asked for
	current   build          // what the last commit of this process left at the install path
	ownImage  bool           // the install path is where this process comes from, whatever stands there now
	tried     release.Digest // of the restart under way with what somebody put at the install path
	spurned   release.Digest // of the last one that failed
	lastCheck time.Time
	nextCheck time.Time
	refused   *Error        // why the last check led to nothing
	turn      *Turn         // of the last check
	yanked    *release.Stop // of the build that runs, as of the last check
	answered  time.Time     // when the Source last answered a check
	newer     string        // see Status
	expiries  []Expiry      // of what the Source trusts
	owned     ownership
}

// build names an executable.
type build struct {
	Version string
	Digest  release.Digest
}

// New checks o, resolves the install path and opens the state directory. It neither locks, polls nor recovers.
// In the stage and proof roles it does not return (package role). Where the state directory cannot be made
// or is not safe the error is an *Error of class Permission that names the way out: a server logs it, serves,
// and does not update.
func New(o Options) (*Updater, error) {
	role.Act(role.Report{Name: o.Name, Version: o.Version})
	u := &Updater{log: o.Logger, now: time.Now, step: func(string) {}, pause: pause, image: image, poll: installedPoll, rest: installedRest, managers: managerLocks}
	u.askOwner = owner.Find
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	if o.Channel == "" {
		o.Channel = stable
	}
	if o.ProofTimeout == 0 {
		o.ProofTimeout = defaultProofTimeout
	}
	for kind, name := range map[string]string{"application": o.Name, "channel": o.Channel} {
		if err := release.CheckName(kind, name); err != nil {
			return nil, &Error{Usage, "bad-options", err}
		}
	}
	if o.ProofTimeout < 0 || o.KeepVersions < 0 || o.KeepBytes < 0 {
		return nil, fail(Usage, "bad-options", "negative timeout or limit")
	}
	var err error
	if u.keepTo, err = release.ParseConstraint(o.Constraint); err != nil {
		return nil, &Error{Usage, "bad-options", err}
	}
	for _, w := range o.Windows {
		if err := w.check(); err != nil {
			return nil, fail(Usage, "bad-options", "window: %w", err)
		}
	}
	u.version, _ = release.ParseVersion(o.Version)
	switch u.module = o.Module; u.module {
	case "":
		if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Path != "command-line-arguments" {
			u.module = bi.Main.Path
		}
	case "-":
		u.module = ""
	}
	if o.Ended == nil {
		o.Ended = func(Outcome, error) {}
	}
	u.o = o
	if u.path, u.installed, err = resolveInstallPath(o.InstallPath); err != nil {
		return nil, err
	}
	u.ownImage = role.Current() == role.Successor || u.path == self
	u.name = filepath.Base(u.path)
	if u.root, err = openStateDir(o.StateDir, u.path); err != nil {
		if o.Disabled != "" { // as usual, where a package manager has installed it
			err = u.disabled()
		}
		return nil, err
	}
	u.dir = u.root.Name()
	u.flock = flock.New(filepath.Join(u.dir, lockFile), flock.SetFlag(lockFlags))
	u.state = newState()
	return u, nil
}

// Request is what a person or the loop asks for.
type Request struct {
	Version      string      // "" for the newest
	Force        bool        // skip a hold, quarantine and a publisher's halt; never verification, nor a yank
	Manual       bool        // asked for by a person: allows an explicit Version, waits neither for a rollout nor for a window
	Patient      bool        // waits for both nevertheless: a person wants to know what would happen without being asked for
	NoQuarantine bool        // of a rollback: the version that is left may come again
	Events       func(Event) // progress; may be nil; must not block
	By           *Asker      // who asked, for the history and the log; nil: nobody

	// File is the absolute path of one file to take instead of what the source offers. The source has to trust single files
	// (see FileSource): whoever asks says which file, never why it may be trusted.
	File string
}

// now reports whether somebody wants the update as soon as it can be had.
func (r Request) now() bool { return r.Manual && !r.Patient }

func (r Request) event(e Event) {
	if r.Events != nil {
		r.Events(e)
	}
}

// Outcome is how an attempt ended well.
type Outcome struct {
	Attempt   string         `json:"attempt,omitempty"` // ID, as in the history; "": there was nothing to do
	Changed   bool           `json:"changed"`           // false: already current
	From      string         `json:"from"`
	To        string         `json:"to"`
	Digest    release.Digest `json:"digest"`
	Restarted bool           `json:"restarted"` // false: replaced alone
}

// Found is the result of a check.
type Found struct {
	Current   string        // version that runs
	Available bool          // Candidate may be applied
	Candidate Candidate     // as in Choice
	Stop      *Error        // why it is not applied, if policy stops it
	Turn      *Turn         // a newer one waits for this host's turn
	Again     time.Time     // as in Choice
	Yanked    *release.Stop // the version that runs was withdrawn by its publisher

	late time.Duration
}

// StateDir returns the state directory.
func (u *Updater) StateDir() string { return u.dir }

// InstallPath returns the path that updates replace.
func (u *Updater) InstallPath() string { return u.path }

func (u *Updater) query(r Request) Query {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := Query{
		App:       u.o.Name,
		Platform:  release.Host(),
		Channel:   u.o.Channel,
		CacheDir:  filepath.Join(u.dir, "feed"),
		Logger:    u.log,
		Installed: u.version,
	}
	if v, err := release.ParseVersion(u.current.Version); err == nil {
		q.Installed = v
	}
	q.Version, _ = release.ParseVersion(r.Version) // what does not parse is an error of the choice
	return q
}

// source is where r looks.
func (u *Updater) source(r Request) (Source, error) {
	if u.o.Source == nil {
		return nil, fail(Usage, "no-source", "check for updates: no source is configured")
	}
	if r.File == "" {
		return u.o.Source, nil
	}
	s, ok := u.o.Source.(FileSource)
	switch {
	case !r.Manual || !filepath.IsAbs(r.File):
		return nil, fail(Usage, "bad-options", "only a person may name a file, by its absolute path")
	case !ok:
		return nil, fail(Usage, "no-key", "%s: %s says nothing of single files: without a minisign key none can be verified; stop the server and name the key to upgrade", r.File, u.o.Source)
	}
	return s.File(r.File), nil
}

// manualOnly says why nothing happens by itself, "" if it does.
func (u *Updater) manualOnly() string {
	switch {
	case u.o.Disabled != "":
		return "disabled"
	case u.o.Source == nil:
		return "no source"
	case u.version.IsZero():
		return "version-unparsable"
	case u.o.Interval < 0:
		return "only when asked"
	}
	return ""
}
