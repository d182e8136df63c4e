package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// publishFlags are those of publish that no other command has.
type publishFlags struct {
	version, platform string
	binary            string
	dryRun            bool
}

func newPublish() *cobra.Command {
	var keys keyFlags
	var payloads payloadFlags
	var terms termFlags
	var made checkFlags
	var flags publishFlags
	var q tuf.PublishRequest
	cmd := &cobra.Command{
		Use:   "publish [DIR] SOURCE...",
		Short: "Check a version and add it to a channel",
		Long: `Add a version to a channel of the feed in DIR, one executable a platform. DIR may be left out where ./feed is the feed. A SOURCE is

  a dist directory   of goreleaser: artifacts.json says what is for which platform, metadata.json which version it is
  a directory        of executables: their headers say what they are for
  a file             an executable

Each executable is checked first, and started where it can run. If a check fails, nothing is signed. Servers see all of the release or nothing of it.`,
		Example: `  moult publish feed dist
  moult publish feed hello-linux hello-darwin --version 1.4.0 --notes 'faster start'`,
		Args: nArgs(1, 1<<10),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			dir, sources := splitArgs(args)
			if err := flags.validate(sources, &q); err != nil {
				return err
			}
			if err := made.validate(); err != nil {
				return err
			}
			if q.Minimum, q.Rollout, err = terms.read(); err != nil {
				return err
			}
			q.Critical = terms.critical
			payloads.apply(&q)
			repo, err := keys.open(cmd, dir)
			if err != nil {
				return err
			}
			r, err := publish(cmd, repo, sources, q, flags, made)
			if err != nil {
				return err
			}
			warnExpiry(cmd, repo)
			r.Next = nextSteps(dir, repo, r)
			return emit(cmd, r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.version, "version", "", "semantic `version` of the release (default: as metadata.json says)")
	f.StringVar(&flags.platform, "platform", "", "`os/arch[/variant]` of the one file (default: as its header says)")
	f.StringVar(&flags.binary, "binary", "", "`name` of the program, or id of its build, where a source has several (default: the application's name)")
	f.BoolVar(&flags.dryRun, "dry-run", false, "check everything and write nothing")
	f.StringVar(&q.Channel, "channel", "beta", "`channel` to publish in")
	f.StringVar(&q.Notes, "notes", "", "what is new, for people")
	f.BoolVar(&q.Force, "force", false, "also if the version is not newer than the channel's newest, or was published with other bytes")
	made.add(cmd)
	payloads.add(cmd)
	terms.add(cmd)
	keys.add(cmd)
	return cmd
}

// splitArgs tells the feed from what goes into it.
func splitArgs(args []string) (dir string, sources []string) {
	if !isFeed(args[0]) && isFeed("feed") {
		return "feed", args
	}
	return args[0], args[1:]
}

func isFeed(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "metadata", "timestamp.json"))
	return err == nil
}

func (f *publishFlags) validate(sources []string, q *tuf.PublishRequest) (err error) {
	switch {
	case len(sources) == 0:
		return &usageError{errors.New("name what to publish: a dist directory, a directory or files")}
	case f.platform != "" && len(sources) > 1:
		return &usageError{errors.New("--platform is for one file; those of several are read from their headers")}
	}
	if f.platform != "" {
		if _, err := release.ParsePlatform(f.platform); err != nil {
			return &usageError{err}
		}
	}
	if f.version != "" {
		if q.Version, err = release.ParseVersion(f.version); err != nil {
			return &usageError{err}
		}
		return nil
	}
	if !slices.ContainsFunc(sources, isDist) {
		return &usageError{errors.New("--version is missing: only a dist directory of goreleaser says it")}
	}
	return nil
}

// publish checks what is at the sources, and publishes it unless that is not wanted.
func publish(cmd *cobra.Command, repo *tuf.Repository, sources []string, q tuf.PublishRequest, flags publishFlags, made checkFlags) (*publishResult, error) {
	b, err := gather(sources, wanted{app: repo.App(), binary: flags.binary})
	if err != nil {
		return nil, err
	}
	defer b.close()
	if q.Version.IsZero() {
		if q.Version, err = release.ParseVersion(b.version); err != nil {
			return nil, &usageError{fmt.Errorf("metadata.json says no version to publish, name it by --version: %w", err)}
		}
	} else if b.version != "" && !sameVersion(b.version, q.Version) {
		b.note("metadata.json says version %s, and %s is published, as --version says", b.version, q.Version)
	}
	if slices.Contains(made.skip, "newer") {
		q.Force = true
	}
	in, err := newInspection(repo, b, &q, flags.platform, made.runVersion)
	if err != nil {
		return nil, err
	}
	for _, note := range b.notes {
		fmt.Fprintln(cmd.ErrOrStderr(), printable(note))
	}
	verdicts, err := in.run(cmd.Context(), made.skip)
	tell(cmd, verdicts)
	if err = errors.Join(err, judge(verdicts)); err != nil {
		return nil, err
	}
	r := newPublishResult(in, verdicts, b.notes)
	if flags.dryRun {
		r.DryRun = true
		return r, nil
	}
	bars, note := newStages(cmd), noteDeltas(cmd)
	q.Progress = func(p tuf.Progress) {
		bars.show(p)
		note(p)
	}
	released, err := repo.Publish(cmd.Context(), q)
	bars.end()
	if err != nil {
		return nil, err
	}
	r.take(released)
	indexes, err := repo.Indexes()
	r.names = versionNames(indexes)
	return r, err
}

// newInspection examines the programs and completes the request by them.
func newInspection(repo *tuf.Repository, b *bundle, q *tuf.PublishRequest, platform string, runVersion bool) (*inspection, error) {
	in := &inspection{app: repo.App(), channel: q.Channel, version: q.Version, runVersion: runVersion}
	var asked release.Platform
	if platform != "" {
		if len(b.programs) > 1 {
			return nil, &usageError{errors.New("--platform is for one file; those of several are read from their headers")}
		}
		var err error
		if asked, err = release.ParsePlatform(platform); err != nil {
			return nil, &usageError{err}
		}
	}
	for _, p := range b.programs {
		s, err := newSubject(p, asked)
		if err != nil {
			return nil, err
		}
		in.subjects = append(in.subjects, s)
		q.Files = append(q.Files, tuf.File{Path: s.program.path, Platform: s.platform, SHA256: s.digest, Module: s.module})
	}
	all, err := repo.Indexes()
	if err != nil {
		return nil, err
	}
	for _, ix := range all {
		if ix.Channel == q.Channel {
			in.indexes = append(in.indexes, ix)
		}
	}
	in.plan = func(ctx context.Context) error {
		_, err := repo.Plan(ctx, *q)
		return err
	}
	return in, nil
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
