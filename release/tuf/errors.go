package tuf

import (
	"errors"

	"github.com/moult-go/moult/release/transfer"
)

// What can be wrong with a feed. Client errors match one of these by errors.Is; several may match, for instance a
// connection that breaks inside an artifact is both ErrTruncated and ErrUnreachable.
var (
	// ErrUnreachable is temporary: the network, a timeout, a server that is busy, slow or broken.
	ErrUnreachable = transfer.ErrUnreachable
	// ErrNotFound says that a file which the feed must have is not there (404, 410, or 403 from an object store).
	ErrNotFound = transfer.ErrNotFound
	// ErrExpired says that signed metadata, or the server's certificate, is past its date, or that this host's clock is wrong.
	ErrExpired = transfer.ErrExpired
	// ErrBadSignature says that metadata lacks the signatures that the trusted root asks for.
	ErrBadSignature = errors.New("bad signature")
	// ErrRollback says that metadata is older than what was seen before, or that files of two publications are mixed.
	ErrRollback = errors.New("version goes back or does not match")
	// ErrMalformed says that a file is not of the kind, or of the form, that it must be.
	ErrMalformed = transfer.ErrMalformed
	// ErrHTML says that a web page came with status 200 where a file was asked for: a captive portal, a login or an error page.
	ErrHTML = transfer.ErrHTML
	// ErrDigestMismatch says that a file's bytes are not those that were signed for.
	ErrDigestMismatch = transfer.ErrDigestMismatch
	// ErrTruncated says that a file is shorter than it must be.
	ErrTruncated = transfer.ErrTruncated
	// ErrOversized says that a file is longer than it may be.
	ErrOversized = transfer.ErrOversized
	// ErrRedirect says that a redirect was not followed: there were too many, or it led from https to http.
	ErrRedirect = transfer.ErrRedirect
	// ErrCache says that the cache could not be read or written: the disk is full or read-only, or the directory is not ours.
	ErrCache = errors.New("feed cache")
	// ErrNoIndex says that the feed has nothing for this channel and platform: a name mistyped, or nothing published yet.
	ErrNoIndex = errors.New("nothing published for this channel and platform")
)

// What can be wrong at the publisher's side.
var (
	// ErrExists says that Init found a repository or keys already there.
	ErrExists = errors.New("exists already")
	// ErrPlaintextKeys says that Init was asked to leave the root key in plain text beside the online key.
	ErrPlaintextKeys = errors.New("root and online keys would lie together in plain text")
	// ErrPassphrase says that a key is encrypted and the passphrase is missing or wrong.
	ErrPassphrase = errors.New("passphrase missing or wrong")
	// ErrNoKey says that a key that is needed is not there.
	ErrNoKey = errors.New("key not there")
	// ErrUnsigned says that too few root keys have signed a change of the root.
	ErrUnsigned = errors.New("signatures missing")
	// ErrLockout says that a root would lock its owners out, or that one theft would be another: a threshold that the keys cannot reach,
	// one key for two roles.
	ErrLockout = errors.New("such a root would be no good")
	// ErrNotNewer says that a version is not newer than the newest of its channel and platform.
	ErrNotNewer = errors.New("not newer than what is published")
	// ErrConflict says that a channel has the same version with other bytes.
	ErrConflict = errors.New("same version, other bytes")
	// ErrChanged says that a file is no longer what it was when it was checked.
	ErrChanged = errors.New("the file has changed since it was checked")
	// ErrStopped says that a release is halted or yanked.
	ErrStopped = errors.New("the release is halted or yanked")
	// ErrYanked says that a release was withdrawn, and not only halted.
	ErrYanked = errors.New("the release was yanked")
	// ErrSeveralChannels says that a channel must be named.
	ErrSeveralChannels = errors.New("it is in several channels")
	// ErrUnknownChannel says that the feed was not set up with this channel.
	ErrUnknownChannel = errors.New("unknown channel")
	// ErrOtherFeed says that a feed begins with another first root than the one it was held against.
	ErrOtherFeed = errors.New("another feed: its first root differs")
)

// HTTPError is an answer that is no success. It matches ErrNotFound or ErrUnreachable where its status says so.
type HTTPError = transfer.HTTPError
