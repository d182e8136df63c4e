package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
	"github.com/moult-go/moult/updater/feed"
)

// changeFlags are those of commands that change a release that is published.
type changeFlags struct {
	keys    keyFlags
	channel string
	dryRun  bool
}

func (c *changeFlags) add(cmd *cobra.Command, channel string) {
	if channel != "" {
		cmd.Flags().StringVar(&c.channel, "channel", "", channel)
	}
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "say what would be, and publish nothing")
	c.keys.add(cmd)
}

// open reads the arguments DIR VERSION.
func (c *changeFlags) open(cmd *cobra.Command, args []string) (*tuf.Repository, release.Version, error) {
	v, err := release.ParseVersion(args[1])
	if err != nil {
		return nil, v, &usageError{err}
	}
	r, err := c.keys.open(cmd, args[0])
	return r, v, err
}

// changeResult is what a change came to: how the release stands now, where, who signed, and what comes next.
type changeResult struct {
	Schema   int             `json:"schema"`
	App      string          `json:"app"`
	Version  release.Version `json:"version"`
	Action   string          `json:"action"`
	Changed  bool            `json:"changed"`
	DryRun   bool            `json:"dry_run,omitempty"`
	Keys     []string        `json:"keys,omitempty"` // that signed, or would
	Channels []standing      `json:"channels"`
	Notice   int64           `json:"notice_seconds,omitempty"` // until hosts notice, unless they were set otherwise

	next []string
	now  time.Time
}

// standing is how a release stands in a channel, on platforms where it stands alike.
type standing struct {
	Channel   string             `json:"channel"`
	Platforms []release.Platform `json:"platforms"`
	Share     float64            `json:"share"` // of hosts that may have it now, if nothing stops it
	Rollout   *release.Rollout   `json:"rollout,omitempty"`
	Critical  bool               `json:"critical,omitempty"`
	Minimum   release.Version    `json:"minimum,omitzero"`
	Halted    *release.Stop      `json:"halted,omitempty"`
	Yanked    *release.Stop      `json:"yanked,omitempty"`
}

func newChangeResult(app, action string, v release.Version, placed []tuf.Placed) *changeResult {
	r := &changeResult{Schema: schema, App: app, Version: v, Action: action, now: time.Now()}
	for _, p := range placed {
		rel := p.Release
		s := standing{
			Channel: p.Channel, Share: shareNow(rel, r.now), Rollout: rel.Rollout, Critical: rel.Critical, Minimum: rel.Minimum,
			Halted: rel.Halted, Yanked: rel.Yanked,
		}
		r.add(s, p.Platform)
	}
	return r
}

func (r *changeResult) add(s standing, p release.Platform) {
	for i := range r.Channels {
		like := r.Channels[i]
		like.Platforms = nil
		if reflect.DeepEqual(like, s) {
			r.Channels[i].Platforms = append(r.Channels[i].Platforms, p)
			return
		}
	}
	s.Platforms = []release.Platform{p}
	r.Channels = append(r.Channels, s)
}

// emitChange prints what a change came to. next are the lines that somebody may want to type after it.
func (c *changeFlags) emitChange(cmd *cobra.Command, repo *tuf.Repository, action string, v release.Version, done tuf.Change, next ...string) error {
	warnExpiry(cmd, repo)
	r := newChangeResult(repo.App(), action, v, done.Releases)
	r.Keys, r.DryRun, r.Changed, r.next = done.Keys, c.dryRun, len(done.Keys) > 0 && !c.dryRun, next
	r.Notice = int64(feed.DefaultInterval / time.Second)
	return emit(cmd, r)
}

func (r *changeResult) text(w io.Writer) {
	for _, s := range r.Channels {
		fmt.Fprintf(w, "%s %s in %s, %s: %s\n", r.App, r.Version, s.Channel, count(len(s.Platforms), "platform"), s.text(r.now))
	}
	switch {
	case len(r.Keys) == 0 && r.Notice == 0: // nothing was asked to change
	case len(r.Keys) == 0:
		fmt.Fprintln(w, "It was so before: nothing was signed.")
	case r.DryRun:
		fmt.Fprintf(w, "So it would be, signed by the %s; nothing was changed.\n", keysText(r.Keys))
	default:
		fmt.Fprintf(w, "Signed by the %s. Hosts notice at their next check, within about %g hours unless they were set otherwise.\n", keysText(r.Keys), float64(r.Notice)/3600)
	}
	if len(r.next) > 0 {
		fmt.Fprintf(w, "\nNext:\n\n    %s\n", strings.Join(r.next, "\n    "))
	}
}

// text says how a release stands, for people.
func (s *standing) text(now time.Time) string {
	if state := stateText(s.Critical, s.Minimum, s.Halted, s.Yanked); state != "-" {
		return state + "; " + s.shareText(now)
	}
	return s.shareText(now)
}

func (s *standing) shareText(now time.Time) string {
	switch {
	case s.Yanked != nil || s.Halted != nil:
		return "no other host takes it"
	case s.Rollout == nil:
		return "every host may have it"
	case s.Critical:
		return "every host may have it now: it is critical, and does not wait for its rollout"
	}
	text := percent(s.Share) + " of the hosts may have it now"
	share := s.Share
	for _, p := range s.Rollout.Curve {
		if at := s.Rollout.Start.Add(time.Duration(p.Seconds) * time.Second); now.Before(at) && p.Share > share {
			share = p.Share
			text += fmt.Sprintf(", %s at %s", percent(share), at.Local().Format("2006-01-02 15:04"))
		}
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func keysText(keys []string) string {
	if len(keys) == 1 {
		return keys[0] + " key alone"
	}
	return strings.Join(keys, " and ") + " keys"
}
