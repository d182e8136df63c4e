package main

import (
	"context"
	"errors"
	"syscall"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitVerify = 4
	exitDenied = 5
	exitRetry  = 75
)

const exitCodes = `Exit codes:
   0  done
   1  failed, nothing changed
   2  usage
   4  verification failed: unsigned, wrongly signed, expired, truncated, wrong format
   5  no permission
  75  temporary: network, disk`

// usageError is a mistake in what was typed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// told is the failure of a command whose result says what is wrong: there is no second document.
type told struct {
	code       int
	what, hint string
}

func (t *told) Error() string { return t.what }

// errFormat says that a file is not an executable, or not one for its platform.
var errFormat = errors.New("wrong format")

// failures maps errors to exit codes and to what one can do about them; the first match counts.
var failures = []struct {
	err  error
	code int
	hint string
}{
	{errNoTree, exitFailed, "git clone https://" + modulePath + " && cd moult && go run ./cmd/moult demo"},
	{errDemoStopped, exitFailed, "nothing is left behind; run it again"},
	{context.Canceled, exitFailed, "it was interrupted; a feed shows what it showed before, run the command again"},
	{syscall.ENOSPC, exitRetry, "make room and run the command again"},
	{tuf.ErrPlaintextKeys, exitUsage, "encrypt them by --passphrase-file, --passphrase-env or --passphrase-for root=SOURCE, or name another directory by --root-keys; only for a trial: --plaintext-keys"},
	{tuf.ErrPassphrase, exitFailed, "name the passphrase's source by --passphrase-file, --passphrase-env, --passphrase-cmd or --passphrase-for; see moult help keys"},
	{tuf.ErrNoKey, exitFailed, "name the directory of the keys by --keys, or each key by --targets-key, --online-key or --root-key; see moult help keys"},
	{tuf.ErrUnsigned, exitFailed, "have it signed by others: put the change into a file by --file, then moult root sign FILE and moult root publish DIR FILE"},
	{tuf.ErrLockout, exitFailed, "nothing was changed; moult root show DIR lists the keys and how many must sign"},
	{tuf.ErrExists, exitFailed, "choose another directory; moult never overwrites a feed or its keys"},
	{tuf.ErrNotNewer, exitFailed, "raise --version, or use --force if you mean it"},
	{tuf.ErrConflict, exitFailed, "a version that was seen must stay what it was: raise the version"},
	{tuf.ErrChanged, exitFailed, "something writes to it: wait for the build to end and run the command again"},
	{tuf.ErrStopped, exitFailed, "moult rollout shows what stops it, moult resume lets it go; or use --force if you mean it"},
	{tuf.ErrYanked, exitFailed, "publish a newer version, or use --yanked if you mean this one"},
	{tuf.ErrSeveralChannels, exitUsage, "name one of them by --channel"},
	{tuf.ErrUnknownChannel, exitUsage, "the channels were chosen by moult init --channels; moult promote --create makes another one"},
	{release.ErrNoRelease, exitFailed, "moult list shows the versions of each channel"},
	{tuf.ErrNoIndex, exitFailed, "moult list shows the channels and platforms"},
	{tuf.ErrExpired, exitVerify, "run moult refresh on the feed, or set this host's clock"},
	{tuf.ErrCache, exitRetry, "its directory must be writable and have room"},
	{errNewer, exitFailed, "somebody else has published: pull it first, moult sync with FROM and TO changed, and publish on top of it"},
	{errDiverged, exitFailed, "two publishers worked on two copies: pull the one that servers see into an empty directory, and publish on top of it"},
	{tuf.ErrOtherFeed, exitVerify, "name another place, or the root of this feed: servers would refuse one feed in the place of another"},
	{errChanged, exitRetry, "another sync is under way, or one was broken off within the last hour: run it again later"},
	{errDenied, exitDenied, "moult sync --help says where credentials come from, and what they must allow"},
	{errNoBucket, exitFailed, "make the bucket, or mend its name, --s3-endpoint or --s3-region"},
	{tuf.ErrUnreachable, exitRetry, "try again later"},
	{tuf.ErrHTML, exitVerify, "something answers with web pages: the URL is wrong, or a login page is in the way"},
	{tuf.ErrNotFound, exitVerify, "the URL must be that of the directory with metadata/ and targets/; was all of it copied?"},
	{tuf.ErrRollback, exitVerify, "an older copy of the feed is served, or two are mixed: copy all of it again, timestamp.json last"},
	{tuf.ErrBadSignature, exitVerify, "it is not signed by the keys that the root names: wrong root, wrong feed, or a forgery"},
	{tuf.ErrDigestMismatch, exitVerify, "a file was changed after it was signed: copy the feed again"},
	{tuf.ErrTruncated, exitVerify, "copy the feed again"},
	{tuf.ErrOversized, exitVerify, "copy the feed again"},
	{tuf.ErrMalformed, exitVerify, "it is not what moult writes: wrong file, or damaged"},
	{tuf.ErrRedirect, exitVerify, "name the final URL"},
	{release.ErrDigest, exitVerify, "a payload does not hold the executable that was signed for: publish the version again under another number"},
	{release.ErrPayload, exitVerify, "a payload cannot be decoded: publish the version again under another number"},
	{release.ErrTooLong, exitVerify, "a payload holds more than was signed for: publish the version again under another number"},
	{release.ErrUnknownFormat, exitVerify, "a newer moult wrote it: update this one"},
	{release.ErrBadSignature, exitVerify, "do not use the file; sign it with moult minisign sign"},
	{release.ErrBadComment, exitVerify, "sign the file with moult minisign sign, which writes the comment that is asked for"},
	{errArchive, exitVerify, "look where the archive came from, and build the dist directory again"},
	{errChecksum, exitVerify, "a file is not the one that goreleaser made: build the dist directory again"},
	{errAmbiguous, exitUsage, "choose by --binary, or name the files themselves"},
	{errFormat, exitVerify, "build it with GOOS and GOARCH of the platform, and give the executable itself, not an archive"},
}

func exitCode(err error) int {
	code, _ := explain(err)
	return code
}

// explain returns the exit code and the hint for err.
func explain(err error) (code int, hint string) {
	var usage *usageError
	var said *told
	var check *checkError
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &said):
		return said.code, said.hint
	case errors.As(err, &check) && check.Unwrap() == nil:
		return exitVerify, check.hint()
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return f.code, f.hint
		}
	}
	if errors.As(err, &usage) {
		return exitUsage, "see --help"
	}
	return exitFailed, "nothing was changed"
}
