package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func newPublish() *cobra.Command {
	var keys keyFlags
	var payloads payloadFlags
	var terms termFlags
	var version, platform string
	var q tuf.PublishRequest
	cmd := &cobra.Command{
		Use:   "publish DIR FILE...",
		Short: "Add a version to a channel",
		Long: `Add a version to a channel of the feed in DIR, one executable a platform. Each file's header is read first: it must be an executable for
its platform. Servers see all of the release or nothing of it.`,
		Example: "  moult publish feed hello-linux hello-darwin --version 1.4.0 --notes 'faster start'",
		Args:    nArgs(2, 1<<10),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := need(cmd, "version"); err != nil {
				return err
			}
			if q.Version, err = release.ParseVersion(version); err != nil {
				return &usageError{err}
			}
			if q.Minimum, q.Rollout, err = terms.read(); err != nil {
				return err
			}
			q.Critical = terms.critical
			if platform != "" && len(args) > 2 {
				return &usageError{errors.New("--platform is for one file; those of several are read from their headers")}
			}
			modules, err := inspectAll(cmd, &q, args[1:], platform)
			if err != nil {
				return err
			}
			payloads.apply(&q)
			repo, err := keys.open(cmd, args[0])
			if err != nil {
				return err
			}
			released, err := repo.Publish(cmd.Context(), q)
			if err != nil {
				return err
			}
			warnExpiry(cmd, repo)
			return emit(cmd, newPublishResult(repo, q, released, modules))
		},
	}
	f := cmd.Flags()
	f.StringVar(&version, "version", "", "semantic `version` of the release")
	f.StringVar(&platform, "platform", "", "`os/arch` of the one file (default: as its header says)")
	f.StringVar(&q.Channel, "channel", "beta", "`channel` to publish in")
	f.StringVar(&q.Notes, "notes", "", "what is new, for people")
	f.BoolVar(&q.Force, "force", false, "also if the version is not newer than the channel's newest, or was published with other bytes")
	payloads.add(cmd)
	terms.add(cmd)
	keys.add(cmd)
	return cmd
}

// inspectAll reads each file's header into the request and returns their module paths.
func inspectAll(cmd *cobra.Command, q *tuf.PublishRequest, paths []string, platform string) ([]string, error) {
	var modules []string
	for _, path := range paths {
		x, err := inspect(path)
		if err != nil {
			return nil, err
		}
		p, err := x.agree(platform)
		if err != nil {
			return nil, err
		}
		if x.module == "" {
			warn(cmd, "%s: no Go build information: servers cannot tell whether it is their own program", path)
		}
		if len(modules) > 0 && x.module != modules[0] {
			warn(cmd, "%s: main module %q, but %q in %s", path, x.module, modules[0], paths[0])
		}
		modules = append(modules, x.module)
		q.Files = append(q.Files, tuf.File{Path: path, Platform: p})
	}
	return modules, nil
}

type publishResult struct {
	Schema  int             `json:"schema"`
	App     string          `json:"app"`
	Version release.Version `json:"version"`
	Channel string          `json:"channel"`
	Files   []publishedFile `json:"files"`
}

type publishedFile struct {
	Platform release.Platform `json:"platform"`
	Module   string           `json:"module,omitempty"`
	Path     string           `json:"path"`
	Length   int64            `json:"length"`
	SHA256   release.Digest   `json:"sha256"`
}

func newPublishResult(repo *tuf.Repository, q tuf.PublishRequest, released []release.Release, modules []string) *publishResult {
	r := &publishResult{Schema: schema, App: repo.App(), Version: q.Version, Channel: q.Channel}
	for i, rel := range released {
		a := rel.Artifact
		r.Files = append(r.Files, publishedFile{Platform: q.Files[i].Platform, Module: modules[i], Path: a.Full.Path, Length: a.Length, SHA256: a.SHA256})
	}
	return r
}

func (r *publishResult) text(w io.Writer) {
	for _, f := range r.Files {
		fmt.Fprintf(w, "%s %s in %s for %s, %d bytes, sha256 %s\n", r.App, r.Version, r.Channel, f.Platform, f.Length, f.SHA256.Short())
	}
}

// warnExpiry says in time what nobody has renewed.
func warnExpiry(cmd *cobra.Command, repo *tuf.Repository) {
	now := time.Now()
	for _, e := range repo.Expiries() {
		if e.EndsSoon(now) {
			warn(cmd, "%s expires on %s: %s", e.Role, e.Expires.Format(time.DateOnly), renewHint(e.Role))
		}
	}
}
