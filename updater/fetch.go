package updater

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/moult-go/moult/release"
)

// A download that breaks off is tried again a few times before the attempt ends: with resuming that is cheap, and most networks come back
// within seconds. The waits double, with jitter: a server that fell over under its clients must not get them all back at once.
const (
	mostTries = 5
	firstWait = time.Second
)

// fetch brings one payload of c into the private download directory: no more than its signed length, and
// verified before anything else opens it. It goes on with what an earlier attempt left. The caller removes the file.
func (u *Updater) fetch(ctx context.Context, r Request, c Candidate, p way) (string, error) {
	source, err := u.source(r)
	if err != nil {
		return "", err
	}
	version := c.Version.String()
	if other, _ := keptPart(u.root, u.now()); other != "" && other != partName(p.SHA256) {
		removePart(u.root, other) // one at the most
	}
	w, err := openPart(u.root, p.Payload, func(done int64) {
		r.event(Event{Phase: PhaseFetch, Version: version, Done: done, Total: p.Length})
	})
	if err != nil {
		return "", diskError(err, "fetch version %s", version)
	}
	r.event(Event{Phase: PhaseFetch, Version: version, Done: w.done, Total: p.Length, Message: p.what()})
	u.step("fetch")
	if err := u.fetchWithTries(ctx, c, p, w, func() error { return source.Fetch(ctx, u.query(r), p.Payload, w) }); err != nil {
		e := asError(ctx, err, Failed, "io")
		w.leave(e.Class == Temporary || e.Reason == "interrupted")
		return "", e
	}
	if err := w.f.Close(); err != nil {
		removePart(u.root, w.name)
		return "", diskError(err, "fetch version %s", version)
	}
	u.step("fetched")
	return filepath.Join(u.dir, w.name), nil
}

// fetchWithTries asks the source again when a download broke off, unless the server has said when to come back.
func (u *Updater) fetchWithTries(ctx context.Context, c Candidate, p way, w *part, ask func() error) error {
	for try, wait := 1, firstWait; ; try, wait = try+1, 2*wait {
		had := w.done
		w.begun = false
		err := u.fetched(ctx, c, p, w, ask())
		var e *Error
		brokeOff := errors.As(err, &e) && e.Reason == "network" && w.err == nil && (try > 1 || w.done > had)
		if !brokeOff || retryAfter(err) > 0 || try == mostTries {
			return err
		}
		u.log.Info("the download broke off", "version", c.Version.String(), "bytes", w.done, "of", p.Length, "try", try, "err", err)
		if u.pause(ctx, wait/2+rand.N(wait)) != nil {
			return asError(ctx, err, Temporary, "network")
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// fetched judges a download. What we found ourselves counts before what the source said.
func (u *Updater) fetched(ctx context.Context, c Candidate, p way, w *part, err error) error {
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		return asError(ctx, fmt.Errorf("fetch version %s from %s: %w", c.Version, u.o.Source, err), Temporary, "network")
	case w.done < w.length:
		return fail(Verification, "truncated", "fetch version %s: %d of %d bytes", c.Version, w.done, w.length)
	}
	if d := w.Sum(); d != p.SHA256 {
		return fail(Verification, "digest-mismatch", "fetch version %s: sha256 is %s, want %s", c.Version, d, p.SHA256)
	}
	return nil
}

// verifySignature reads a payload that is signed as a file, before anything is made of it. What its signature says was the
// source's to judge; it is held against the candidate once more.
func (u *Updater) verifySignature(c Candidate, p way, payload string) error {
	m := c.Minisign
	if m == nil || p.isDelta() {
		return nil
	}
	f, err := u.root.Open("download/" + filepath.Base(payload))
	if err != nil {
		return fail(Failed, "io", "verify version %s: %w", c.Version, err)
	}
	defer f.Close()
	said, err := release.VerifyMinisign(m.PublicKey, []byte(m.Signature), f)
	switch {
	case errors.Is(err, release.ErrBadComment):
		return fail(Verification, "bad-comment", "verify version %s: %w", c.Version, err)
	case err != nil:
		return fail(Verification, "bad-signature", "verify version %s: %w", c.Version, err)
	case said.App != u.o.Name:
		return fail(Verification, "wrong-app", "verify version %s: it is signed for %s, and this is %s", c.Version, said.App, u.o.Name)
	case said.Version.Compare(c.Version) != 0 || said.Platform != c.Platform:
		return fail(Verification, "bad-comment", "verify version %s: it is signed as version %s for %s", c.Version, said.Version, said.Platform)
	}
	return nil
}
