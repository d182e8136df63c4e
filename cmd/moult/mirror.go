package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// mirror copies a feed from one place to another. Readers of the other place see the feed that was there before or the new one, at
// every moment and wherever it is interrupted: what they are led to is there before they are led to it.
type mirror struct {
	from    place
	to      store
	root    []byte // that from must begin with, or nil
	jobs    int
	dryRun  bool
	remove  bool
	grace   time.Duration
	now     func() time.Time
	sending func(files int, bytes int64) // before the first byte
	sent    func(tuf.FeedFile)
}

var (
	// errNewer says that the destination has a later publication.
	errNewer = errors.New("the destination is newer")
	// errDiverged says that two publishers made different publications of the same number.
	errDiverged = errors.New("the destination has another publication of the same number")
)

// settled is how old a file of another publication must be before it is taken for what a broken-off sync left. Between its first
// metadata file and its timestamp a sync takes seconds.
const settled = time.Hour

// plan is what a sync has to do.
type plan struct {
	contents *tuf.Contents
	there    map[string]object
	before   *tuf.Contents // what the destination showed; nil if nothing, or nothing whole
	send     []tuf.FeedFile
	remove   []string
	// rootsLast: readers who know only the roots that are there can read the new publication, as its publisher signed it with the
	// old keys as well. Then its roots come after it, and nobody meets a signature that he cannot use.
	rootsLast bool
}

// run copies what is missing, the timestamp last, and then removes what has not been named for a while.
func (m *mirror) run(ctx context.Context) (*plan, error) {
	if !m.dryRun {
		unlock, err := m.to.lock(ctx)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	p, err := m.plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.each(ctx, p.send, m.check); err != nil {
		return nil, fmt.Errorf("check %s, nothing was sent: %w", m.from, err)
	}
	if m.dryRun {
		return p, nil
	}
	var bytes int64
	for _, f := range p.send {
		bytes += f.Length
	}
	m.sending(len(p.send), bytes)
	for _, step := range steps(p) {
		jobs := m.each
		if step.ordered {
			jobs = inOrder
		}
		if err := jobs(ctx, step.files, func(ctx context.Context, f tuf.FeedFile) error { return m.copy(ctx, p, f) }); err != nil {
			return nil, err
		}
	}
	for _, path := range p.remove {
		if err := m.to.remove(ctx, path); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (m *mirror) plan(ctx context.Context) (*plan, error) {
	p := &plan{}
	var err error
	if p.contents, err = tuf.ReadContents(ctx, m.root, reader(m.from)); err != nil {
		return nil, fmt.Errorf("%s: %w", m.from, err)
	}
	if p.there, err = m.to.list(ctx); err != nil {
		return nil, err
	}
	if err := m.checkDestination(ctx, p); err != nil {
		return nil, fmt.Errorf("%s: %w", m.to, err)
	}
	for _, f := range p.contents.Files() {
		need, err := m.needs(ctx, p, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", m.to, f.Path, err)
		}
		if need {
			p.send = append(p.send, f)
		}
	}
	p.rootsLast = m.readableWithout(ctx, p)
	if m.remove {
		p.remove = m.stale(p)
	}
	return p, ctx.Err()
}

// readableWithout says whether the new publication can be read without the roots that the destination does not have yet.
func (m *mirror) readableWithout(ctx context.Context, p *plan) bool {
	known := knownFiles(p.contents)
	_, err := tuf.ReadContents(ctx, m.root, func(_ context.Context, path string, _ int64) ([]byte, error) {
		f, ok := known[path]
		if _, there := p.there[path]; !ok || !there && rootRule.MatchString(path) {
			return nil, notExist(m.from, path)
		}
		return f.Content, nil
	})
	return err == nil
}

func knownFiles(c *tuf.Contents) map[string]tuf.FeedFile {
	known := make(map[string]tuf.FeedFile)
	for _, f := range c.Files() {
		known[f.Path] = f
	}
	return known
}

// checkDestination refuses a destination that holds another feed, or a publication that ours does not follow. What it says is not
// verified: it can only stop us.
func (m *mirror) checkDestination(ctx context.Context, p *plan) error {
	read := m.readBoth(p)
	first := p.contents.Roots[0]
	if _, ok := p.there[first.Path]; ok {
		b, err := read(ctx, first.Path, maxMetadata)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, first.Content) {
			return tuf.ErrOtherFeed
		}
	}
	if _, ok := p.there[timestampPath]; !ok {
		return nil
	}
	b, err := read(ctx, timestampPath, maxMetadata)
	if err != nil {
		return err
	}
	version, snapshot, err := versionsOf(b)
	ours := p.contents
	switch {
	case err != nil:
		return err
	case version > ours.Version || snapshot > ours.Snapshot:
		return fmt.Errorf("%w: publication %d there, %d here", errNewer, version, ours.Version)
	case version == ours.Version && !bytes.Equal(b, ours.Timestamp.Content):
		return fmt.Errorf("%w: %d", errDiverged, version)
	}
	// One that is damaged is mended.
	if p.before, err = tuf.ReadContents(ctx, first.Content, read); err != nil {
		p.before = nil
	}
	return ctx.Err()
}

// readBoth reads the destination, without fetching what is known to be the same here.
func (m *mirror) readBoth(p *plan) tuf.ReadFunc {
	known := knownFiles(p.contents)
	read := reader(m.to)
	return func(ctx context.Context, path string, limit int64) ([]byte, error) {
		o, ok := p.there[path]
		if !ok {
			return nil, notExist(m.to, path)
		}
		if f, ok := known[path]; ok && f.Content != nil && o.tag == md5Of(f.Content) {
			return f.Content, nil
		}
		return read(ctx, path, limit)
	}
}

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// versionsOf reads the versions of a timestamp and its snapshot, unverified.
func versionsOf(b []byte) (version, snapshot int64, err error) {
	var t struct {
		Signed struct {
			Version int64
			Meta    map[string]struct{ Version int64 }
		}
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %w", timestampPath, tuf.ErrMalformed, err)
	}
	return t.Signed.Version, t.Signed.Meta["snapshot.json"].Version, nil
}

// needs says whether a file has to be sent. A name with a digest says what it holds; small files are compared.
func (m *mirror) needs(ctx context.Context, p *plan, f tuf.FeedFile) (bool, error) {
	o, ok := p.there[f.Path]
	if !ok || o.size != f.Length && f.Content == nil {
		return true, nil
	}
	if f.Content == nil || o.tag == md5Of(f.Content) {
		return false, nil
	}
	b, err := reader(m.to)(ctx, f.Path, maxMetadata)
	if err != nil {
		return false, err
	}
	switch {
	case bytes.Equal(b, f.Content):
		return false, nil
	case f.Path == timestampPath, !metadataRule.MatchString(f.Path):
		return true, nil
	case p.before != nil && named(p.before, f.Path):
		return false, errDiverged
	case o.age(m.now()) < settled:
		return false, errChanged
	}
	return true, nil
}

func named(c *tuf.Contents, path string) bool {
	return slices.ContainsFunc(c.Files(), func(f tuf.FeedFile) bool { return f.Path == path })
}

// stale lists what can go: neither the new publication nor the one before names it, and a server that was led to it has had
// the time of grace to fetch it. The snapshot of the publication before is the witness: since it came, nothing was led there. A file
// younger than that may belong to a publication that is on its way.
func (m *mirror) stale(p *plan) []string {
	if p.before == nil {
		return nil
	}
	keep := make(map[string]bool)
	witness := ""
	for _, f := range slices.Concat(p.contents.Files(), p.before.Files()) {
		keep[f.Path] = true
	}
	for _, f := range p.before.Metadata {
		if strings.HasSuffix(f.Path, ".snapshot.json") {
			witness = f.Path
		}
	}
	if p.there[witness].age(m.now()) < m.grace {
		return nil
	}
	var gone []string
	for path, o := range p.there {
		if !keep[path] && !rootRule.MatchString(path) && o.age(m.now()) >= m.grace {
			gone = append(gone, path)
		}
	}
	slices.Sort(gone)
	return gone
}

// step is a part of what is sent, to be complete before the next begins.
type step struct {
	files   []tuf.FeedFile
	ordered bool
}

// steps cuts the list where readers would notice: what is led to, then what leads there. Roots come as late as can be, since one that
// revokes a key takes the old publication away from readers, until the timestamp shows the new one: where the old roots do for that
// one too, after it.
func steps(p *plan) []step {
	var all [4]step
	all[2].ordered, all[3].ordered = true, true
	for _, f := range p.send {
		i := 0
		switch {
		case rootRule.MatchString(f.Path) && p.rootsLast:
			i = 3
		case f.Path == timestampPath || rootRule.MatchString(f.Path):
			i = 2
		case metadataRule.MatchString(f.Path):
			i = 1
		}
		all[i].files = append(all[i].files, f)
	}
	return all[:]
}

func inOrder(ctx context.Context, files []tuf.FeedFile, f func(context.Context, tuf.FeedFile) error) error {
	for _, file := range files {
		if err := f(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// each calls f for all files, some at a time, and ends at the first error.
func (m *mirror) each(ctx context.Context, files []tuf.FeedFile, f func(context.Context, tuf.FeedFile) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan tuf.FeedFile)
	var workers sync.WaitGroup
	for range min(m.jobs, len(files)) {
		workers.Go(func() {
			for file := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := f(ctx, file); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, file := range files {
		work <- file
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

// check finds out before anything is sent that a payload is there: from a directory all of it, from elsewhere its length. The rest
// has been read.
func (m *mirror) check(ctx context.Context, f tuf.FeedFile) error {
	if f.Content != nil {
		return nil
	}
	if _, ok := m.from.(*directory); ok {
		src, err := m.from.open(ctx, f.Path)
		if err != nil {
			return err
		}
		defer src.Close()
		return digestTo(ctx, io.Discard, src, f)
	}
	n, err := m.from.size(ctx, f.Path)
	if err == nil && n >= 0 && n != f.Length {
		err = fmt.Errorf("%s: %d bytes, not %d: %w", f.Path, n, f.Length, tuf.ErrDigestMismatch)
	}
	return err
}

// digestTo copies a payload and holds it against its length and digest.
func digestTo(ctx context.Context, dst io.Writer, src io.Reader, f tuf.FeedFile) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, h), io.LimitReader(contextReader{ctx, src}, f.Length+1))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if release.Digest(h.Sum(nil)) != f.SHA256 || n != f.Length {
		return fmt.Errorf("%s: %w", f.Path, tuf.ErrDigestMismatch)
	}
	return nil
}

// copy sends one file.
func (m *mirror) copy(ctx context.Context, p *plan, f tuf.FeedFile) error {
	src, done, err := m.fetch(ctx, f)
	if err != nil {
		return err
	}
	defer done()
	var was *object
	if o, ok := p.there[f.Path]; ok {
		was = &o
	}
	err = m.to.put(ctx, f.Path, src, f.Length, was)
	if errors.Is(err, errChanged) && m.arrived(ctx, f) {
		err = nil
	}
	if err == nil {
		m.sent(f)
	}
	return err
}

// arrived says whether a file that could not be put is there all the same: another sync of the same publication sent it, or our own
// first attempt whose answer was lost.
func (m *mirror) arrived(ctx context.Context, f tuf.FeedFile) bool {
	if f.Content == nil {
		n, err := m.to.size(ctx, f.Path)
		return err == nil && n == f.Length
	}
	b, err := reader(m.to)(ctx, f.Path, maxMetadata)
	return err == nil && bytes.Equal(b, f.Content)
}

// fetch returns the content of a file to be sent. What comes from a network is verified on disk before it goes on.
func (m *mirror) fetch(ctx context.Context, f tuf.FeedFile) (src body, done func(), err error) {
	if f.Content != nil {
		return bytes.NewReader(f.Content), func() {}, nil
	}
	if d, ok := m.from.(*directory); ok {
		file, err := d.openFile(f.Path)
		if err != nil {
			return nil, nil, err
		}
		return file, func() { file.Close() }, nil
	}
	in, err := m.from.open(ctx, f.Path)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	temp, err := os.CreateTemp("", "moult-sync-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { temp.Close(); os.Remove(temp.Name()) }
	err = digestTo(ctx, temp, in, f)
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return temp, done, nil
}
