package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"sync"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/payload"
)

// deltas gives artifacts deltas from earlier releases.
type deltas struct {
	r       *Repository
	report  *reporter
	indexes map[string]*release.Index
	jobs    []*deltaJob
}

// storeWithDeltas puts the executables of a request into the repository, and deltas to each from the releases of the index that it
// goes to.
func (r *Repository) storeWithDeltas(ctx context.Context, q PublishRequest, indexes map[string]*release.Index, to []*release.Index) ([]release.Artifact, error) {
	d := &deltas{r: r, report: &reporter{f: q.Progress}, indexes: indexes}
	all, err := r.storeAll(ctx, q, indexes, d.report)
	if err != nil {
		return nil, err
	}
	jobs := make([][]*deltaJob, len(all))
	for i, s := range all {
		jobs[i] = d.add(s.path, s.Artifact, bases(to[i], q.Version, q.Deltas), func() ([]byte, error) { return s.body, nil })
	}
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	var out []release.Artifact
	for i, s := range all {
		s.Deltas = with(jobs[i], nil)
		out = append(out, s.Artifact)
	}
	return out, nil
}

// promoteDeltas gives the entries of a version in changed indexes deltas from the last releases of each.
func (r *Repository) promoteDeltas(ctx context.Context, q PromoteRequest, indexes, changed map[string]*release.Index) error {
	d := &deltas{r: r, report: &reporter{f: q.Progress}, indexes: indexes}
	jobs := make(map[*release.Index][]*deltaJob)
	for _, path := range slices.Sorted(maps.Keys(changed)) {
		ix := changed[path]
		rel, err := ix.Find(q.Version)
		if err != nil {
			return err
		}
		read := sync.OnceValues(func() ([]byte, error) { return r.readArtifact(rel.Artifact) })
		jobs[ix] = d.add(r.payloadPath(q.Version, ix.Platform), rel.Artifact, bases(ix, q.Version, q.Deltas), read)
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	for ix, made := range jobs {
		rel, err := ix.Find(q.Version)
		if err != nil {
			return err
		}
		rel.Artifact.Deltas = with(made, rel.Artifact.Deltas)
		ix.Put(rel)
	}
	return nil
}

// deltaJob is one delta to make.
type deltaJob struct {
	path string // of the raw payload
	to   release.Artifact
	from release.Release
	new  func() ([]byte, error) // the executable to make

	made *release.Delta // nil: none
	body []byte         // nil: the feed has it already
}

// add asks for deltas to an artifact from each of the releases; new returns the executable.
func (d *deltas) add(path string, to release.Artifact, from []release.Release, new func() ([]byte, error)) (jobs []*deltaJob) {
	seen := map[release.Digest]bool{to.SHA256: true}
	for _, f := range from {
		if base := f.Artifact.SHA256; !seen[base] {
			seen[base] = true
			jobs = append(jobs, &deltaJob{path: path, to: to, from: f, new: new})
		}
	}
	d.jobs = append(d.jobs, jobs...)
	return jobs
}

// atOnce is how many deltas are made side by side, if there are processors for them: each needs ten times the memory of an executable.
const atOnce = 4

// run makes all that was asked for. A delta that cannot be made for want of its base, or is not worth it, is none: a note says why.
func (d *deltas) run(ctx context.Context) error {
	workers := min(runtime.GOMAXPROCS(0), atOnce)
	err := sideBySide(workers, len(d.jobs), func(i int) error {
		j := d.jobs[i]
		note, err := d.make(ctx, j, max(1, runtime.GOMAXPROCS(0)/workers))
		if err != nil {
			return fmt.Errorf("delta %s: %w", j.name(), err)
		}
		if note != "" {
			d.report.tell(Progress{Stage: StageDelta, File: j.name(), Total: j.to.Length, Note: note})
		} else {
			d.report.tell(Progress{Stage: StageDelta, File: j.name(), Done: j.to.Length, Total: j.to.Length})
		}
		return nil
	})
	for _, j := range d.jobs {
		if err == nil && j.made != nil && j.body != nil {
			j.made.Payload, err = d.r.storePayload(ctx, j.made.Payload, j.body)
		}
		j.body = nil
	}
	return err
}

func (j *deltaJob) name() string { return path.Base(j.path) + " from " + j.from.Version.String() }

func (d *deltas) make(ctx context.Context, j *deltaJob, parallel int) (note string, err error) {
	d.report.tell(Progress{Stage: StageDelta, File: j.name(), Total: j.to.Length})
	if j.made = d.known(j); j.made != nil {
		return "", nil
	}
	old, err := d.r.readArtifact(j.from.Artifact)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "its payload is not in this feed any more", nil
	case err != nil:
		return err.Error(), nil
	}
	new, err := j.new()
	if err != nil {
		return "read the executable itself: " + err.Error(), nil
	}
	var body bytes.Buffer
	if err := payload.Delta(ctx, &body, old, new, parallel); err != nil {
		return "", err
	}
	if int64(body.Len()) >= j.to.Full.Length/2 {
		return fmt.Sprintf("it is not below half of the full payload: %d of %d bytes", body.Len(), j.to.Full.Length), nil
	}
	made := release.Delta{From: j.from.Artifact.SHA256, Payload: release.Payload{
		Path: j.path + "." + j.from.Artifact.SHA256.Short() + ".delta", Format: release.Patch,
		Length: int64(body.Len()), SHA256: sha256.Sum256(body.Bytes()),
	}}
	if err := j.try(made, old, new, body.Bytes()); err != nil {
		return "", fmt.Errorf("apply it before it is signed: %w", err)
	}
	j.made, j.body = &made, body.Bytes()
	return "", nil
}

// try applies a delta as a server would and compares what comes out.
func (j *deltaJob) try(d release.Delta, old, new, body []byte) error {
	want := &comparer{rest: new}
	err := release.Decode(want, bytes.NewReader(body), j.to.DecodingFrom(d, bytes.NewReader(old), int64(len(old))))
	if err == nil && len(want.rest) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// comparer takes the bytes that are to come and no others.
type comparer struct{ rest []byte }

func (c *comparer) Write(p []byte) (int, error) {
	rest, ok := bytes.CutPrefix(c.rest, p)
	if !ok {
		return 0, errors.New("it makes another executable")
	}
	c.rest = rest
	return len(p), nil
}

// known returns the delta that the feed has already, for another channel.
func (d *deltas) known(j *deltaJob) *release.Delta {
	for _, ix := range d.indexes {
		for _, rel := range ix.Releases {
			for _, old := range rel.Artifact.Deltas {
				if rel.Artifact.SHA256 == j.to.SHA256 && old.From == j.from.Artifact.SHA256 && old.Format == release.Patch && d.r.has(old.Payload) {
					return &old
				}
			}
		}
	}
	return nil
}

// has reports whether the file of a payload is there and whole.
func (r *Repository) has(p release.Payload) bool {
	got, n, err := release.DigestFile(r.targetPath(p.Path, p.SHA256))
	return err == nil && n == p.Length && got == p.SHA256
}

// with adds what the jobs made to the deltas that an artifact has, the new ones first.
func with(jobs []*deltaJob, deltas []release.Delta) []release.Delta {
	var all []release.Delta
	for _, j := range jobs {
		if j.made != nil {
			all = append(all, *j.made)
		}
	}
	for _, d := range deltas {
		if !slices.ContainsFunc(all, func(o release.Delta) bool { return o.From == d.From && o.Format == d.Format }) {
			all = append(all, d)
		}
	}
	return all[:min(len(all), release.MaxDeltas)]
}

// sideBySide calls f for 0 to n-1, some at a time, and returns the first error in that order. After an error none is begun.
func sideBySide(workers, n int, f func(i int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	stop := make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			for i := range next {
				if errs[i] = f(i); errs[i] != nil {
					once.Do(func() { close(stop) })
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-stop:
		}
		break
	}
	close(next)
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
