package tuf

import (
	"context"
	"time"

	"github.com/moult-go/moult/release"
)

// InitOptions says what Init sets up.
type InitOptions struct {
	App      string   // name of the application; required
	Channels []string // default "beta", "stable"
	// KeyDir gets the private keys (root.key, targets.key, online.key, each 0600) and a copy of the trusted root
	// (root.json). It must lie outside the repository. Default: the repository's path with "-keys" appended.
	KeyDir string
	// RootKeyDir gets root.key instead, to be taken offline. Default: KeyDir.
	RootKeyDir string
	// Passphrase encrypts every key. Without one, RootKeyDir must not be KeyDir unless PlaintextKeys is set.
	Passphrase []byte
	// PlaintextKeys allows all keys in one directory in plain text: for tests and demonstrations.
	PlaintextKeys bool
	// Now is the clock that dates the metadata. Default: time.Now.
	Now func() time.Time
}

// OpenOptions says where the keys are.
type OpenOptions struct {
	KeyDir     string // default as in InitOptions
	Passphrase []byte // of the keys, if they are encrypted
	Now        func() time.Time
}

// PublishRequest is one version of the application, for one or more platforms.
type PublishRequest struct {
	Version release.Version
	Channel string // default "beta"
	Files   []File
	Notes   string
	// Force allows a version that is not newer than the newest of its channel and platform, and other bytes for the same version.
	Force bool
}

// File is an executable to publish.
type File struct {
	Path     string
	Platform release.Platform
}

// Repository is a directory with a feed, seen by its publisher. DIR/metadata and DIR/targets are plain static files
// to be served by any web server below one URL. It is safe for use by several processes, not by several goroutines.
type Repository struct{}

// Init makes keys and a valid repository with empty channels in dir.
func Init(dir string, o InitOptions) (*Repository, error) { panic("unwritten") }

// Open opens a repository that Init made, and verifies it from the trusted root in the key directory: what a publisher
// signs again must be what it signed before.
func Open(dir string, o OpenOptions) (*Repository, error) { panic("unwritten") }

// RootFile is the path of the first root: the file to embed in the program (DIR/metadata/1.root.json).
func (r *Repository) RootFile() string { panic("unwritten") }

// App returns the name of the application.
func (r *Repository) App() string { panic("unwritten") }

// Channels returns the channels that Init set up.
func (r *Repository) Channels() []string { panic("unwritten") }

// Indexes returns the index of every channel and platform that has one, sorted by path.
func (r *Repository) Indexes() ([]*release.Index, error) { panic("unwritten") }

// Publish adds a release to a channel and returns it, one release.Release for each file in the order given.
func (r *Repository) Publish(ctx context.Context, q PublishRequest) ([]release.Release, error) {
	panic("unwritten")
}

// Promote copies a version's entries from one channel to another, on all platforms, and returns the number of
// platforms. No payload is copied.
func (r *Repository) Promote(ctx context.Context, v release.Version, from, to string) (int, error) {
	panic("unwritten")
}

// Refresh signs the timestamp again, and snapshot and targets when half of their time is over (targets only if its key
// is there). It is to be run on a timer.
func (r *Repository) Refresh(ctx context.Context) error { panic("unwritten") }

// Expiries says until when each role's metadata is valid: root, targets, snapshot, timestamp.
func (r *Repository) Expiries() []Expiry { panic("unwritten") }

// Expiry is the end of one role's metadata.
type Expiry struct {
	Role    string    `json:"role"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
}
