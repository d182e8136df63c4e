package updater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/minio/selfupdate"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

func init() { role.Handle(role.Stage, stageRole) }

// stageJob is what a staging child is asked for, on its standard input.
type stageJob struct {
	Payload   string         `json:"payload"` // verified once already, as a file
	Size      int64          `json:"size"`    // bytes of the payload
	Format    release.Format `json:"format"`
	From      release.Digest `json:"from,omitzero"`        // of the executable that a delta starts from
	Base      string         `json:"base,omitempty"`       // path of that executable
	Dir       string         `json:"dir"`                  // private, and empty
	Length    int64          `json:"length"`               // bytes of the executable; zero as the digest: learned
	Digest    release.Digest `json:"digest"`               // of the executable
	Member    string         `json:"member,omitempty"`     // its name in an archive
	PublicKey string         `json:"public_key,omitempty"` // minisign
	Signature string         `json:"signature,omitempty"`  // path of a file
}

// stageAnswer is the child's one answer, on the channel of its role. A build that it refused is told
// from a child that failed by its being an answer at all.
type stageAnswer struct {
	Refused string `json:"refused,omitempty"` // the payload is not what was signed
	Reason  string `json:"reason,omitempty"`  // of the refusal
	Failed  string `json:"failed,omitempty"`  // it could not be written
	Full    bool   `json:"full,omitempty"`    // because the disk is full, or another resource used up

	Length int64          `json:"length,omitempty"` // of what was made
	Digest release.Digest `json:"digest,omitzero"`
}

// stageTimeout bounds a staging child: it decodes one file. Tests have less patience.
var stageTimeout = 5 * time.Minute

// stage turns a payload, which lies in the file payload, into an executable at the name that will be executed and, in the end,
// renamed over the install path: in a fresh private directory, with owner, mode and attributes of the installed one, durable. It returns c
// with the length and digest that were staged.
func (u *Updater) stage(ctx context.Context, c Candidate, p way, payload, target string) (Candidate, error) {
	dir := filepath.Dir(target)
	if err := u.freshDir(dir); err != nil {
		return c, diskError(err, "stage version %s", c.Version)
	}
	u.step("stage dir")
	job := stageJob{Payload: payload, Size: p.Length, Format: p.Format, From: p.From, Dir: dir, Length: c.Length, Digest: c.Digest, Member: c.Member}
	if p.isDelta() {
		job.Base = u.path
	}
	if m := c.Minisign; m != nil && c.Full.Format == release.Raw { // selfupdate verifies what it writes
		job.PublicKey, job.Signature = m.PublicKey, payload+".minisig"
		name := "download/" + filepath.Base(job.Signature)
		if err := writeDurable(u.root, name, []byte(m.Signature), false, func(string) {}); err != nil {
			return c, diskError(err, "stage version %s", c.Version)
		}
		defer u.root.Remove(name)
	}
	made, err := u.runStage(ctx, job)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return c, err
		}
		return c, asError(ctx, fmt.Errorf("stage version %s: %w", c.Version, err), Failed, "stage-failed")
	}
	u.step("stage child")
	c.Length, c.Digest = made.Length, made.Digest
	if err := u.finishStaged(job, target, c); err != nil {
		return c, asError(ctx, fmt.Errorf("stage version %s: %w", c.Version, err), diskClass(err), "io")
	}
	u.step("stage finished")
	return c, nil
}

// freshDir makes a private directory in place of whatever has its name. RemoveAll does not follow links.
func (u *Updater) freshDir(dir string) error {
	name, err := u.below(dir)
	if err != nil {
		return err
	}
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	return u.root.Mkdir(name, 0o700)
}

// runStage does the job in a child where there are roles: the job holds the whole payload in memory, and a
// panic in it must not be ours.
func (u *Updater) runStage(ctx context.Context, job stageJob) (stageAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	if !hasRoles {
		a := job.do()
		return a, job.refusal(a)
	}
	input, err := json.Marshal(job)
	if err != nil {
		return stageAnswer{}, err
	}
	b, err := runRole(ctx, ownImage(), role.Stage, input, role.MaxReport)
	if err != nil {
		return stageAnswer{}, err
	}
	var a stageAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("read the staging child's answer: %w", err)
	}
	return a, job.refusal(a)
}

func (j stageJob) refusal(a stageAnswer) error {
	learned := j.decoding().Learned()
	switch {
	case a.Failed != "" && a.Full:
		return fail(Temporary, "disk-space", "stage: %s", printable(a.Failed, maxWords))
	case a.Failed != "":
		return errors.New(printable(a.Failed, maxWords))
	case a.Refused != "":
	case learned && (a.Digest.IsZero() || a.Length <= 0) || !learned && (a.Length != j.Length || a.Digest != j.Digest):
		return errors.New("the staging child says that it made something else")
	default:
		return nil
	}
	reason := a.Reason
	if !slices.Contains(refusals, reason) {
		reason = "bad-payload"
	}
	return fail(Verification, reason, "stage: %s", printable(a.Refused, maxWords))
}

// refusals are the reasons that a staging child may give.
var refusals = []string{"digest-mismatch", "too-long", "bad-delta", "bad-payload", "bad-signature"}

// stageRole is the child's side.
func stageRole(channel *os.File) error {
	var job stageJob
	if err := json.NewDecoder(io.LimitReader(os.Stdin, role.MaxReport)).Decode(&job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	// The executable is held in memory: collect early what comes beside it.
	debug.SetGCPercent(20)
	if err := lowerSelf(job); err != nil {
		return err
	}
	return json.NewEncoder(channel).Encode(job.do())
}

// base is the file that selfupdate patches: a copy of the installed executable, or empty where there is nothing to start
// from. What it makes of that stands at made.
func (j stageJob) base() string { return filepath.Join(j.Dir, "base") }
func (j stageJob) made() string { return filepath.Join(j.Dir, ".base.new") }

// do lets selfupdate make, check and write the executable. It writes neither exclusively nor durably, which is why the
// directory is private and fresh, and the rest is ours. Its CommitBinary, which leaves a moment with no executable, is never called.
func (j stageJob) do() stageAnswer {
	if err := j.layBase(); err != nil {
		return j.answer(err, nil)
	}
	f, err := os.Open(j.Payload)
	if err != nil {
		return j.answer(err, nil)
	}
	defer f.Close()
	p := &patcher{d: j.decoding()}
	o := selfupdate.Options{TargetPath: j.base(), TargetMode: 0o700, Patcher: p}
	if !p.d.Learned() {
		o.Checksum = j.Digest[:]
	}
	if j.PublicKey != "" {
		o.Verifier = selfupdate.NewVerifier()
		if err := o.Verifier.LoadFromFile(j.Signature, j.PublicKey); err != nil {
			return j.answer(err, nil)
		}
	}
	if err := selfupdate.PrepareAndCheckBinary(f, o); err != nil {
		return j.answer(err, p.err)
	}
	a := stageAnswer{Length: j.Length, Digest: j.Digest}
	if p.d.Learned() {
		if a.Digest, a.Length, err = release.DigestFile(j.made()); err != nil {
			return j.answer(err, nil)
		}
	}
	return a
}

func (j stageJob) decoding() release.Decoding {
	return release.Decoding{Format: j.Format, Size: j.Size, Length: j.Length, SHA256: j.Digest, Member: j.Member, From: j.From}
}

// errWrongBase says that the installed executable is not the one that the delta starts from.
var errWrongBase = errors.New("the installed executable is not the one that the delta starts from")

// layBase puts what the payload starts from into the directory.
func (j stageJob) layBase() error {
	dst, err := os.OpenFile(j.base(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	if j.From.IsZero() {
		return nil
	}
	src, err := os.Open(j.Base)
	if err != nil {
		return err
	}
	defer src.Close()
	d, _, err := release.DigestReader(io.TeeReader(src, dst))
	if err == nil && d != j.From {
		err = errWrongBase
	}
	return err
}

// answer gives an error its reason. decoding is the part of it that came from the decoder: what fails after that is the signature.
func (j stageJob) answer(err, decoding error) stageAnswer {
	var onDisk *fs.PathError
	if errors.As(err, &onDisk) {
		return stageAnswer{Failed: err.Error(), Full: isExhausted(err)}
	}
	a := stageAnswer{Refused: err.Error()}
	switch {
	case errors.Is(err, errWrongBase):
		a.Reason = "bad-delta"
	case decoding == nil:
		a.Reason = "bad-signature"
	case errors.Is(decoding, release.ErrDigest):
		a.Reason = "digest-mismatch"
	case errors.Is(decoding, release.ErrTooLong):
		a.Reason = "too-long"
	case !j.From.IsZero():
		a.Reason = "bad-delta"
	default:
		a.Reason = "bad-payload"
	}
	return a
}

// finishStaged gives the file its name and metadata, makes it durable, and reads it back from the disk.
func (u *Updater) finishStaged(job stageJob, target string, c Candidate) error {
	dir, err := u.below(job.Dir)
	if err != nil {
		return err
	}
	file := path.Join(dir, filepath.Base(target))
	made := path.Join(dir, filepath.Base(job.made()))
	if _, err := identifyIn(u.root, made); err != nil {
		return err
	}
	if err := u.root.Remove(path.Join(dir, filepath.Base(job.base()))); err != nil {
		return err
	}
	if err := u.root.Rename(made, file); err != nil {
		return err
	}
	if err := u.dress(file); err != nil {
		return err
	}
	if !digestIsIn(u.root, file, c.Digest) {
		return fail(Verification, "digest-mismatch", "%s reads back from the disk with another sha256", target)
	}
	if err := syncDir(u.root, dir); err != nil {
		return err
	}
	return syncDir(u.root, path.Dir(dir))
}

// dress gives a staged file the metadata of the installed one, durably.
func (u *Updater) dress(file string) error {
	place, err := u.place()
	if err != nil {
		return err
	}
	defer place.Close()
	src, err := openRegular(place, u.name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := openRegular(u.root, file, os.O_RDWR)
	if err != nil {
		return err
	}
	err = copyMetadata(src, dst)
	return errors.Join(err, dst.Sync(), dst.Close())
}
