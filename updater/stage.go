package updater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/minio/selfupdate"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

func init() { role.Handle(role.Stage, stageRole) }

// stageJob is what a staging child is asked for, on its standard input.
type stageJob struct {
	Payload   string         `json:"payload"` // verified once already
	Target    string         `json:"target"`  // in a private directory that is empty
	Length    int64          `json:"length"`
	Digest    release.Digest `json:"digest"`
	PublicKey string         `json:"public_key,omitempty"` // minisign
	Signature string         `json:"signature,omitempty"`  // path of a file
}

// stageAnswer is the child's one answer, on the channel of its role. A build that it refused is told
// from a child that failed by its being an answer at all.
type stageAnswer struct {
	Refused string `json:"refused,omitempty"` // the payload is not what was signed
	Failed  string `json:"failed,omitempty"`  // it could not be written
}

// stageTimeout bounds a staging child: it copies one file.
const stageTimeout = 5 * time.Minute

// stage turns the payload into an executable at the name that will be executed and, in the end, renamed over
// the install path: in a fresh private directory, with owner, mode and attributes of the installed one, durable.
func (u *Updater) stage(ctx context.Context, c Candidate, payload, target string) error {
	dir := filepath.Dir(target)
	if err := freshDir(dir); err != nil {
		return fail(diskClass(err), "io", "stage version %s: %w", c.Version, err)
	}
	u.step("stage dir")
	job := stageJob{Payload: payload, Target: target, Length: c.Length, Digest: c.Digest}
	if m := c.Minisign; m != nil {
		job.PublicKey, job.Signature = m.PublicKey, payload+".minisig"
		if err := os.WriteFile(job.Signature, []byte(m.Signature), 0o600); err != nil {
			return fail(diskClass(err), "io", "stage version %s: %w", c.Version, err)
		}
		defer os.Remove(job.Signature)
	}
	if err := u.runStage(ctx, job); err != nil {
		var e *Error
		if errors.As(err, &e) {
			return err
		}
		return asError(ctx, fmt.Errorf("stage version %s: %w", c.Version, err), Failed, "stage-failed")
	}
	u.step("stage child")
	if err := u.finishStaged(target, c); err != nil {
		return asError(ctx, fmt.Errorf("stage version %s: %w", c.Version, err), diskClass(err), "io")
	}
	u.step("stage finished")
	return nil
}

// freshDir makes a private directory in place of whatever has its name. RemoveAll does not follow links.
func freshDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o700)
}

// runStage does the job in a child where there are roles: the job holds the whole payload in memory, and a
// panic in it must not be ours.
func (u *Updater) runStage(ctx context.Context, job stageJob) error {
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	if !hasRoles {
		return job.refusal(job.do())
	}
	input, err := json.Marshal(job)
	if err != nil {
		return err
	}
	b, err := runRole(ctx, ownImage(), role.Stage, input, role.MaxReport)
	if err != nil {
		return err
	}
	var a stageAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("read the staging child's answer: %w", err)
	}
	return job.refusal(a)
}

func (j stageJob) refusal(a stageAnswer) error {
	switch {
	case a.Failed != "":
		return errors.New(printable(a.Failed, maxWords))
	case a.Refused == "":
		return nil
	}
	reason := "bad-signature"
	if j.PublicKey == "" {
		reason = "digest-mismatch"
	}
	return fail(Verification, reason, "stage: %s", printable(a.Refused, maxWords))
}

// stageRole is the child's side.
func stageRole(channel *os.File) error {
	var job stageJob
	if err := json.NewDecoder(io.LimitReader(os.Stdin, role.MaxReport)).Decode(&job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	// The payload is read into one growing buffer: collect early what it leaves behind.
	debug.SetGCPercent(20)
	if err := lowerSelf(job.Length); err != nil {
		return err
	}
	return json.NewEncoder(channel).Encode(job.do())
}

// do lets selfupdate check and write the executable. It writes ".NAME.new" beside the target, neither
// exclusively nor durably, which is why the directory is private and fresh, and the rest is ours. Its CommitBinary, which
// leaves a moment with no executable, is never called.
func (j stageJob) do() (a stageAnswer) {
	refuse := func(err error) stageAnswer {
		var onDisk *fs.PathError
		if errors.As(err, &onDisk) {
			return stageAnswer{Failed: err.Error()}
		}
		return stageAnswer{Refused: err.Error()}
	}
	f, err := os.Open(j.Payload)
	if err != nil {
		return refuse(err)
	}
	defer f.Close()
	o := selfupdate.Options{TargetPath: j.Target, TargetMode: 0o700, Checksum: j.Digest[:]}
	if j.PublicKey != "" {
		o.Verifier = selfupdate.NewVerifier()
		if err := o.Verifier.LoadFromFile(j.Signature, j.PublicKey); err != nil {
			return refuse(err)
		}
	}
	if err := selfupdate.PrepareAndCheckBinary(io.LimitReader(f, j.Length+1), o); err != nil {
		return refuse(err)
	}
	return stageAnswer{}
}

// finishStaged gives the file its name and metadata, makes it durable, and reads it back from the disk.
func (u *Updater) finishStaged(target string, c Candidate) error {
	written := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".new")
	if _, err := identifyFile(written); err != nil {
		return err
	}
	if err := os.Rename(written, target); err != nil {
		return err
	}
	if err := copyMetadata(u.path, target); err != nil {
		return err
	}
	if err := syncFile(target); err != nil {
		return err
	}
	if !digestIs(target, c.Digest) {
		return fail(Verification, "digest-mismatch", "%s reads back from the disk with another sha256", target)
	}
	if err := syncDir(filepath.Dir(target)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(filepath.Dir(target)))
}
