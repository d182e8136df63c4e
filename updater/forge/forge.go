package forge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
	"github.com/moult-go/moult/updater/file"
)

// DefaultInterval is the time between two checks.
const DefaultInterval = 6 * time.Hour

// Options says how the releases of a project are read. One of MinisignKey and ChecksumInsecure has to be set.
type Options struct {
	// MinisignKey is the publisher's public key as minisign writes it, with or without its comment line.
	MinisignKey string
	// ChecksumInsecure takes what has a checksum and no signature: it protects from broken downloads, not from anybody
	// who can change what is published.
	ChecksumInsecure bool

	Program string // base name of the executable, in archives and in file names; default: the application's name

	TokenFile string // file with a token; default: none
	TokenEnv  string // environment variable with a token, if there is no TokenFile; default: none

	CAFile string // PEM file of certificate authorities to trust beside the system's
}

// Source reads the releases of one project.
type Source struct {
	forge  dialect
	o      Options
	broken error // what is wrong with how it was made; the first use says so

	mu      sync.Mutex
	client  *transfer.Client
	lengths map[string]int64 // of files whose forge does not list it
}

// dialect is what differs between forges.
type dialect interface {
	String() string
	// origin is where the API is, and the only place that a token goes to.
	origin() *url.URL
	// authorize completes a request to origin; token may be "".
	authorize(r *http.Request, token string)
	// project is the last part of the project's name.
	project() string
	// list is the first page of the releases.
	list() string
	// next is the page after the one that came with this answer, "" for none.
	next(f transfer.File) string
	// parse reads a page.
	parse(page []byte) ([]published, error)
}

// published is a release as a forge lists it.
type published struct {
	tag, notes string
	prerelease bool
	hidden     bool // a draft, or announced for later
	files      []assets.File
}

func newSource(d dialect, o Options, err error) *Source {
	if err == nil {
		err = assets.Trust{MinisignKey: o.MinisignKey, ChecksumInsecure: o.ChecksumInsecure}.Check()
	}
	if err == nil {
		err = o.check(d)
	}
	return &Source{forge: d, o: o, broken: err, lengths: map[string]int64{}}
}

// String names forge and project.
func (s *Source) String() string { return s.forge.String() }

// Key names the key that files are trusted by.
func (s *Source) Key() string { return release.MinisignKeyID(s.o.MinisignKey) }

// Interval is DefaultInterval.
func (s *Source) Interval() time.Duration { return DefaultInterval }

// File returns the source that offers the one file on disk at path, trusted by the same policy.
func (s *Source) File(path string) updater.Source {
	return file.New(path, file.Options{MinisignKey: s.o.MinisignKey, ChecksumInsecure: s.o.ChecksumInsecure, Program: s.o.Program})
}

func (s *Source) open(q updater.Query) (*transfer.Client, error) {
	if s.broken != nil {
		return nil, badOptions(s.broken)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	c, err := transfer.New(transfer.Options{
		UserAgent: "moult (" + q.App + ")", CAFile: s.o.CAFile, Origin: s.forge.origin().String(), Authorize: s.authorize,
	})
	if err != nil {
		return nil, badOptions(err)
	}
	s.client = c
	return c, nil
}

func badOptions(err error) error {
	var known *updater.Error
	if errors.As(err, &known) {
		return err
	}
	return &updater.Error{Class: updater.Usage, Reason: "bad-options", Err: err}
}

// mostOffered bounds the releases of which the files are looked at in one check.
const mostOffered = 5

// Check offers the newest releases of the channel that are newer than what is installed or, if there are none, names the newest.
func (s *Source) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	c, err := s.open(q)
	if err != nil {
		return nil, err
	}
	if _, err := s.o.token(); err != nil {
		return nil, err
	}
	// One directory for each project: another one's tags are of no use.
	name := sha256.Sum256([]byte(s.String()))
	v := &visit{s, q, c, c.Cached(filepath.Join(q.CacheDir, "forge-"+release.Digest(name).Short()))}
	offered, err := v.check(ctx)
	if err != nil {
		return nil, s.explain(err)
	}
	return offered, nil
}

// Fetch streams a payload.
func (s *Source) Fetch(ctx context.Context, q updater.Query, p release.Payload, dst io.Writer) error {
	c, err := s.open(q)
	if err != nil {
		return err
	}
	return s.explain(c.Download(ctx, []string{p.Path}, p.Length, p.SHA256, dst))
}

// visit is one check.
type visit struct {
	*Source
	q     updater.Query
	c     *transfer.Client
	cache *transfer.Cache
}

func (v *visit) check(ctx context.Context) ([]updater.Candidate, error) {
	if w, ok := v.forge.(*github); ok && v.o.anonymous() && v.q.Channel == "stable" && v.q.Version.IsZero() {
		offered, err := v.latest(ctx, w)
		if !errors.Is(err, errAskTheAPI) {
			return offered, err
		}
	}
	found, err := v.releases(ctx)
	if err != nil {
		return nil, err
	}
	return v.offers(ctx, found)
}

// offers looks into the releases that matter. One that has nothing for this platform is passed over; one that cannot be trusted is
// an error only if no other one is left: else anybody who can publish could keep good releases from being taken.
func (v *visit) offers(ctx context.Context, found []assets.Release) (offered []updater.Candidate, err error) {
	slices.SortStableFunc(found, func(a, b assets.Release) int { return b.Version.Compare(a.Version) })
	var first error
	for i, r := range found {
		asked := !v.q.Version.IsZero() && r.Version.Compare(v.q.Version) == 0
		newer := !v.q.Installed.IsZero() && r.Version.Compare(v.q.Installed) > 0 && i < mostOffered
		if !asked && !newer && (i > 0 || !v.q.Installed.IsZero()) {
			continue
		}
		c, err := v.want().Candidate(ctx, r)
		switch {
		case errors.Is(err, assets.ErrNone):
			v.note("release passed over", r, err)
		case err != nil && (ctx.Err() != nil || isTemporary(err)):
			return nil, err
		case err != nil:
			v.note("release not offered", r, err)
			first = cmpOr(first, err)
		default:
			offered = append(offered, c)
		}
	}
	if len(offered) > 0 || first != nil {
		return offered, ifNone(offered, first)
	}
	if len(found) > 0 && !v.q.Installed.IsZero() && found[0].Version.Compare(v.q.Installed) <= 0 {
		return []updater.Candidate{v.current(found[0])}, nil
	}
	return nil, nil
}

func ifNone(offered []updater.Candidate, err error) error {
	if len(offered) > 0 {
		return nil
	}
	return err
}

func cmpOr(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// current is a release that is not newer than what is installed. Nothing was asked about its files, and nothing is taken from it.
func (v *visit) current(r assets.Release) updater.Candidate {
	return updater.Candidate{Version: r.Version, Platform: v.q.Platform, Notes: r.Notes}
}

func (v *visit) want() assets.Want {
	return assets.Want{
		App: v.q.App, Program: v.o.Program, Project: v.forge.project(), Platform: v.q.Platform,
		Trust: assets.Trust{MinisignKey: v.o.MinisignKey, ChecksumInsecure: v.o.ChecksumInsecure},
	}
}

func (v *visit) note(what string, r assets.Release, err error) {
	if v.q.Logger != nil {
		v.q.Logger.Warn(what, "version", r.Version.String(), "source", v.String(), "err", err)
	}
}

// Bounds of a list of releases.
const (
	maxPage  = 8 << 20
	mostList = 10 // pages
)

// releases lists the newest page that has releases of the channel, or the version that is asked for.
func (v *visit) releases(ctx context.Context) (found []assets.Release, err error) {
	page := v.forge.list()
	for n := 0; page != "" && n < mostList; n++ {
		f, err := v.cache.Get(ctx, page, maxPage)
		if err != nil {
			return nil, err
		}
		list, err := v.forge.parse(f.Body)
		if err != nil {
			return nil, &updater.Error{Class: updater.Temporary, Reason: "bad-metadata", Err: fmt.Errorf("releases of %s: %w", v, err)}
		}
		enough := false
		for _, p := range list {
			version, err := release.ParseVersion(p.tag)
			asked := err == nil && version.Compare(v.q.Version) == 0
			if err != nil || p.hidden || !asked && (!assets.InChannel(version, v.q.Channel) || p.prerelease && version.Prerelease() == "") {
				continue
			}
			enough = enough || asked || v.q.Version.IsZero()
			found = append(found, v.release(version, p))
		}
		if page = v.forge.next(f); enough {
			break
		}
		if page != "" && !sameOrigin(page, v.forge.origin()) {
			return nil, fmt.Errorf("the next page of releases lies elsewhere: %w", transfer.ErrMalformed)
		}
	}
	return found, nil
}

func (v *visit) release(version release.Version, p published) assets.Release {
	r := assets.Release{Version: version, Notes: p.notes, Files: p.files}
	if r.Files == nil {
		r.Files = []assets.File{}
	}
	find := func(name string) (assets.File, error) {
		i := slices.IndexFunc(p.files, func(f assets.File) bool { return f.Name == name })
		if i < 0 {
			return assets.File{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		return p.files[i], nil
	}
	r.Read = func(ctx context.Context, name string, limit int64) ([]byte, error) {
		f, err := find(name)
		if err != nil {
			return nil, err
		}
		return v.small(ctx, f.Path, limit)
	}
	r.Locate = func(ctx context.Context, name string) (assets.File, error) {
		f, err := find(name)
		if err == nil && f.Length == 0 {
			f.Length, err = v.length(ctx, f.Path)
		}
		return f, err
	}
	return r
}

func (v *visit) small(ctx context.Context, u string, limit int64) ([]byte, error) {
	f, err := v.cache.Get(ctx, u, limit)
	return f.Body, err
}

// length asks once for each file and process.
func (v *visit) length(ctx context.Context, u string) (int64, error) {
	v.mu.Lock()
	n := v.lengths[u]
	v.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	n, err := v.c.Length(ctx, u)
	if err == nil && n > maxPayload {
		return 0, fmt.Errorf("%d bytes, more than %d: %w", n, int64(maxPayload), transfer.ErrOversized)
	}
	if err == nil {
		v.mu.Lock()
		v.lengths[u] = n
		v.mu.Unlock()
	}
	return n, err
}

// maxPayload is the largest file, in bytes, that is downloaded on the word of a forge.
const maxPayload = 4 << 30

// sameOrigin compares scheme, host and port.
func sameOrigin(address string, origin *url.URL) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == origin.Scheme && strings.EqualFold(u.Host, origin.Host) && u.User == nil
}
