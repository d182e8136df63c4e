package forge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
)

// errAskTheAPI says that the web pages are not enough.
var errAskTheAPI = errors.New("the web pages do not say it")

// latest reads the newest stable release without the API: releases/latest leads to the page of its tag, and below its downloads lie the
// files, of which the file of checksums knows the names.
func (v *visit) latest(ctx context.Context, g *github) ([]updater.Candidate, error) {
	to, err := v.c.Location(ctx, g.at(g.repo+"/releases/latest").String())
	if err != nil {
		return nil, err
	}
	page := g.at(g.repo + "/releases")
	u, err := url.Parse(to)
	if err != nil || !sameOrigin(to, page) {
		return nil, errAskTheAPI // renamed, or moved to another place
	}
	tag, ok := strings.CutPrefix(u.Path, page.Path+"/tag/")
	if !ok {
		return nil, errAskTheAPI // there are pre-releases only, or none
	}
	version, err := release.ParseVersion(tag)
	if err != nil || version.Prerelease() != "" {
		return nil, errAskTheAPI
	}
	r := v.unlisted(version, page.JoinPath("download", tag))
	if !v.q.Installed.IsZero() && version.Compare(v.q.Installed) <= 0 {
		return []updater.Candidate{v.current(r)}, nil
	}
	for _, name := range v.checksumNames(version) {
		r.Checksums = name
		c, err := v.want().Candidate(ctx, r)
		switch {
		case errors.Is(err, assets.ErrNone):
			return nil, nil
		case err == nil:
			return []updater.Candidate{c}, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return nil, errAskTheAPI
}

// checksumNames are what goreleaser calls the file of checksums, unless it was told otherwise.
func (v *visit) checksumNames(version release.Version) []string {
	names := []string{"checksums.txt"}
	for _, p := range []string{v.forge.project(), v.q.App} {
		if n := p + "_" + version.String() + "_checksums.txt"; !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// unlisted is a release of which the files are known by their names alone.
func (v *visit) unlisted(version release.Version, downloads *url.URL) assets.Release {
	at := func(name string) string { return downloads.JoinPath(path.Base(name)).String() }
	return assets.Release{
		Version: version,
		Read: func(ctx context.Context, name string, limit int64) ([]byte, error) {
			b, err := v.small(ctx, at(name), limit)
			if isStatus(err, 404) {
				err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
			}
			return b, err
		},
		Locate: func(ctx context.Context, name string) (assets.File, error) {
			n, err := v.length(ctx, at(name))
			return assets.File{Name: name, Path: at(name), Length: n}, err
		},
	}
}

func isStatus(err error, status int) bool {
	var h *transfer.HTTPError
	return errors.As(err, &h) && h.Status == status
}
