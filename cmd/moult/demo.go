package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/grace/gracetest"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// The three versions of the demonstration. The third is built to crash two seconds after it is ready.
const (
	demoFirst  = "1.0.0"
	demoSecond = "2.0.0"
	demoThird  = "3.0.0"
)

// How long things take in the demonstration: short enough to watch, long enough to see.
const (
	demoInterval  = time.Second     // between two checks of the feed
	demoProbation = 5 * time.Second // of an update, unless --probation says otherwise
	demoHangup    = 2 * time.Second // probation after HUP
	demoDrain     = 10 * time.Second
	demoCalm      = 2 * time.Second // load before, between and after
)

// demoTimeout bounds each step of the story.
const demoTimeout = 30 * time.Second

// errDemoStopped is Ctrl-C.
var errDemoStopped = errors.New("demo: interrupted")

func newDemo() *cobra.Command {
	var keep bool
	var probation time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole flow: a server updates itself twice under load, and one update is undone",
		Long: `Build three versions of cmd/app from the source tree, publish them in a signed feed in a temporary directory,
and let a running server find them while clients that never retry count what they lose. The third version
crashes two seconds after it is ready, and is undone. Then HUP restarts the server once more.

The exit status is 0 only if no request failed, except on connections that the crashing version had accepted.`,
		Example: "  go run ./cmd/moult demo",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{out: cmd.OutOrStdout(), began: time.Now(), probation: probation}
			if wantsJSON(cmd) {
				d.out = cmd.ErrOrStderr()
			}
			summary, err := d.run(cmd.Context(), keep)
			if cmd.Context().Err() != nil {
				return errDemoStopped
			}
			if err != nil {
				return err
			}
			if err := summary.err(); err != nil {
				summary.text(cmd.ErrOrStderr())
				return err
			}
			return emit(cmd, summary)
		},
	}
	cmd.Flags().DurationVar(&probation, "probation", demoProbation, "of an update; kept connections go over in its second half, so below 4s the crash meets them there")
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the temporary directory, with logs, keys and feed")
	return cmd
}

// demo is one run of the demonstration.
type demo struct {
	out   io.Writer
	began time.Time
	dir   string

	probation time.Duration // of an update

	builds map[string]string // version → executable
	repo   *tuf.Repository
	feed   *line // the server of the feed
	app    *line // the server that updates itself
	audit  *audit
}

// say tells the story, a line a fact, with the seconds since the start.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%6.1f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) run(ctx context.Context, keep bool) (s *demoSummary, err error) {
	tree, err := findTree()
	if err != nil {
		return nil, err
	}
	if d.dir, err = os.MkdirTemp("", "moult-demo-"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer func() {
		if err != nil && ctx.Err() == nil && d.app != nil {
			d.say("this went wrong; the end of the server's log:\n%s", d.app.lastLines())
		}
		d.feed.stop()
		d.app.stop()
		if keep {
			fmt.Fprintf(d.out, "kept: %s\n", d.dir)
		} else {
			err = errors.Join(err, os.RemoveAll(d.dir))
		}
	}()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return d.build(ctx, tree) },
		d.publishFirst, d.serveFeed, d.serveApp, d.underLoad,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return d.audit.summary(), nil
}

// build makes the three versions.
func (d *demo) build(ctx context.Context, tree string) error {
	d.say("building three versions of cmd/app; %s is built to crash two seconds after it is ready", demoThird)
	d.builds = map[string]string{}
	for _, v := range []struct{ version, tags string }{{demoFirst, ""}, {demoSecond, ""}, {demoThird, "crashy"}} {
		exe := filepath.Join(d.dir, "build", v.version, "app")
		if err := goBuild(ctx, tree, exe, v.version, v.tags); err != nil {
			return err
		}
		d.builds[v.version] = exe
	}
	return nil
}

// publishFirst makes keys and a feed, and publishes version 1 in both channels.
func (d *demo) publishFirst(ctx context.Context) (err error) {
	d.repo, err = tuf.Init(ctx, filepath.Join(d.dir, "feed"), tuf.InitOptions{
		App: "app", KeyDir: filepath.Join(d.dir, "keys"), Channels: []string{"beta", "stable"}, PlaintextKeys: true})
	if err != nil {
		return err
	}
	d.say("made keys and a feed with the channels beta and stable")
	return d.publish(ctx, demoFirst)
}

// publish signs a version into beta and promotes it to stable, which the server follows.
func (d *demo) publish(ctx context.Context, version string) error {
	v := release.MustParseVersion(version)
	_, err := d.repo.Publish(ctx, tuf.PublishRequest{Version: v, Channel: "beta",
		Files: []tuf.File{{Path: d.builds[version], Platform: release.Host()}}, Notes: "version " + version + " of the demonstration"})
	if err != nil {
		return err
	}
	if _, err := d.repo.Promote(ctx, tuf.PromoteRequest{Version: v}); err != nil {
		return err
	}
	d.say("published %s: signed into beta, promoted to stable", version)
	return nil
}

// serveFeed starts cmd/app for the files of the feed.
func (d *demo) serveFeed(ctx context.Context) (err error) {
	d.feed, err = startLine(ctx, filepath.Join(d.dir, "feed-server"), d.builds[demoFirst],
		"--dir", filepath.Join(d.dir, "feed"))
	if err != nil {
		return err
	}
	d.say("serving the feed with cmd/app itself on http://%s", d.feed.addr)
	return nil
}

// serveApp starts version 1, which follows the feed.
func (d *demo) serveApp(ctx context.Context) (err error) {
	www := filepath.Join(d.dir, "www")
	if err := os.MkdirAll(www, 0o755); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := os.WriteFile(filepath.Join(www, "index.html"), []byte("<h1>moult</h1>\n"), 0o644); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.app, err = startLine(ctx, filepath.Join(d.dir, "app"), d.builds[demoFirst],
		"--dir", www, "--debug-sleep",
		"--feed", "http://"+d.feed.addr, "--root", d.repo.RootFile(), "--interval", demoInterval.String(),
		"--probation", d.probation.String(), "--hup-probation", demoHangup.String(), "--drain-timeout", demoDrain.String())
	if err != nil {
		return err
	}
	d.say("version %s serves on http://%s, pid %d, and looks at the feed every second", demoFirst, d.app.addr, d.app.pid)
	return nil
}

// underLoad is the story itself.
func (d *demo) underLoad(ctx context.Context) error {
	d.audit = newAudit(demoThird)
	load := gracetest.Start(gracetest.Options{Addr: d.app.addr,
		Path: "/", PostPath: "/debug/sleep?ms=0", SlowPath: "/debug/sleep?ms=700",
		KeepAlive: 8, Idle: 8, New: 4, Slow: 4, Pause: 4 * time.Millisecond,
		OnAnswer: d.audit.count})
	d.audit.clients = 8 + 8 + 4 + 4
	d.say("24 clients send POSTs on kept connections, open new ones, and ask for slow answers; none ever retries")
	err := d.story(ctx)
	d.audit.report = load.Stop()
	if err == nil {
		d.say("the load has stopped")
	}
	return err
}

func (d *demo) story(ctx context.Context) error {
	if err := rest(ctx, demoCalm); err != nil {
		return err
	}
	for _, chapter := range []func(context.Context) error{d.goodUpdate, d.badUpdate, d.hangup} {
		if err := chapter(ctx); err != nil {
			return err
		}
		if err := rest(ctx, demoCalm); err != nil {
			return err
		}
	}
	return nil
}

// goodUpdate publishes version 2 and lets the server find it.
func (d *demo) goodUpdate(ctx context.Context) error {
	if err := d.publish(ctx, demoSecond); err != nil {
		return err
	}
	h, err := d.handover(ctx, demoFirst, demoSecond, "found in the feed")
	if err != nil {
		return err
	}
	if err := d.committed(ctx, h); err != nil {
		return err
	}
	return d.onDisk(ctx, " now")
}

// badUpdate publishes version 3, which crashes on probation and is undone.
func (d *demo) badUpdate(ctx context.Context) error {
	if err := d.publish(ctx, demoThird); err != nil {
		return err
	}
	h, err := d.handover(ctx, demoSecond, demoThird, "found in the feed")
	if err != nil {
		return err
	}
	again, err := d.app.await(ctx, "serving again")
	if err != nil {
		return err
	}
	h.ended, h.outcome = again.time, "undone: "+again.attrs["cause"]
	d.audit.add(h)
	back := d.audit.nextAnswer(demoSecond, again.time)
	d.say("%s crashed %.1f s after it was ready; %s, which stood by, serves again (its first answer came %d ms later)", demoThird,
		h.ended.Sub(h.ready).Seconds(), demoSecond, back.Milliseconds())
	if e, err := d.app.await(ctx, "update not applied"); err != nil || e.attrs["reason"] != "quarantined" {
		return fmt.Errorf("demo: want %s quarantined, the server says %v (%w)", demoThird, e.attrs, err)
	}
	d.say("the build is quarantined by its digest: the feed still offers it, and it is not tried again")
	return d.onDisk(ctx, ", as it was all the time")
}

// hangup restarts the server by hand, as an operator would.
func (d *demo) hangup(ctx context.Context) error {
	pid := d.app.serving()
	d.say("kill -HUP %d: a hot restart by hand", pid)
	if err := sendHangup(pid); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	h, err := d.handover(ctx, demoSecond, demoSecond, "asked for by HUP")
	if err != nil {
		return err
	}
	return d.committed(ctx, h)
}

// handover waits until a successor is ready, and tells of it.
func (d *demo) handover(ctx context.Context, from, to, why string) (*handover, error) {
	found, err := d.app.awaitAll(ctx, "handing over", "serving on probation", "standing by")
	if err != nil {
		return nil, err
	}
	begun, ready := found["handing over"], found["standing by"]
	h := &handover{from: from, to: to, why: why, begun: begun.time, accepting: found["serving on probation"].time, ready: ready.time}
	d.say("%s was %s, proved that it starts, and got the sockets: %d ms from fork to ready, pid %s", to, why,
		h.ready.Sub(h.begun).Milliseconds(), begun.attrs["pid"])
	d.say("%s serves on probation for %s; %s stands by", to, ready.attrs["probation"], from)
	return h, nil
}

// committed waits until the predecessor has let go and has left.
func (d *demo) committed(ctx context.Context, h *handover) error {
	done, err := d.app.await(ctx, "handed over")
	if err != nil {
		return err
	}
	h.ended, h.outcome = done.time, "committed"
	d.audit.add(h)
	d.say("probation is over: the predecessor lets go and drains")
	gone, err := d.app.await(ctx, "drained")
	if err != nil {
		return err
	}
	h.drained = gone.time
	d.say("it has answered its last request and left, %.1f s after the commit", gone.time.Sub(h.ended).Seconds())
	return nil
}

// onDisk asks the executable at the install path who it is.
func (d *demo) onDisk(ctx context.Context, when string) error {
	got, err := d.app.installed(ctx)
	if err != nil {
		return err
	}
	if got != demoSecond {
		return fmt.Errorf("demo: the executable on disk says that it is %s, want %s", got, demoSecond)
	}
	d.say("the executable on disk is %s%s", got, when)
	return nil
}

// rest lets the load run on.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
