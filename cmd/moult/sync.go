package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/moult-go/moult/release/tuf"
)

func newSync() *cobra.Command {
	var rootFile string
	var at placeFlags
	m := mirror{now: time.Now}
	cmd := &cobra.Command{
		Use:   "sync FROM TO",
		Short: "Copy a feed to where it is served, or back",
		Long: `Copy a feed between directories and buckets: DIR or s3://BUCKET/PREFIX; FROM may be an http:// or https:// URL as well. Only what the feed
names is copied, after it was verified, the timestamp last: readers see the old feed or the new one at every moment, also if the copy is interrupted;
run it again, and it goes on where it was. A destination that is newer, or another feed, is refused. Buckets get the right content types and cache
headers.

Credentials of a bucket come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the shared credentials file (AWS_PROFILE), or the role of the
instance or container. They need ListBucket, GetObject and PutObject, with --delete also DeleteObject.`,
		Example: `  moult sync feed s3://downloads/hello
  moult sync s3://downloads/hello feed   # a CI job that has no copy begins with this
  moult sync feed s3://hello --s3-endpoint https://minio.example.com:9000 --s3-path-style`,
		Args: nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if m.jobs < 1 {
				return &usageError{errors.New("--jobs must be 1 or more")}
			}
			if m.from, err = at.place(args[0]); err != nil {
				return err
			}
			if _, err := os.Stat(args[0]); errors.Is(err, os.ErrNotExist) && isDirectory(m.from) {
				return &usageError{err}
			}
			to, err := at.place(args[1])
			if err != nil {
				return err
			}
			var ok bool
			if m.to, ok = to.(store); !ok {
				return &usageError{fmt.Errorf("%s can be read only: name a directory or s3://BUCKET/PREFIX to write to", to)}
			}
			if rootFile != "" {
				if m.root, err = os.ReadFile(rootFile); err != nil {
					return err
				}
			}
			shown := newProgress(cmd.ErrOrStderr(), &m)
			p, err := m.run(cmd.Context())
			shown.end()
			if err != nil {
				return err
			}
			return emit(cmd, newSyncResult(&m, p))
		},
	}
	f := cmd.Flags()
	f.StringVar(&at.endpoint, "s3-endpoint", "", "`URL` of a store that is not Amazon's (default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL)")
	f.StringVar(&at.region, "s3-region", "", "`region` of the bucket (default AWS_REGION, AWS_DEFAULT_REGION, or as the store says)")
	f.BoolVar(&at.pathStyle, "s3-path-style", false, "the bucket is part of the path and not of the host name")
	f.StringVar(&rootFile, "root", "", "`file` with the first root that FROM must have")
	f.IntVar(&m.jobs, "jobs", 4, "`number` of files to send at a time")
	f.BoolVar(&m.dryRun, "dry-run", false, "check everything, and say what would be sent and removed")
	f.BoolVar(&m.remove, "delete", false, "remove what the feed has not named for the time of --grace; roots are kept for ever")
	f.DurationVar(&m.grace, "grace", 7*24*time.Hour, "`time` that a server may take from reading an index to fetching a payload")
	return cmd
}

func isDirectory(p place) bool {
	_, ok := p.(*directory)
	return ok
}

// progress shows how far a sync is: on a terminal a bar, elsewhere nothing until the result.
type progress struct {
	w    io.Writer
	mu   sync.Mutex
	bar  *progressbar.ProgressBar
	done int64
}

func newProgress(w io.Writer, m *mirror) *progress {
	p := &progress{w: w}
	m.sending, m.sent = p.begin, p.sent
	return p
}

func (p *progress) begin(files int, bytes int64) {
	if f, ok := p.w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) || files == 0 {
		return
	}
	p.bar = progressbar.NewOptions64(bytes,
		progressbar.OptionSetWriter(p.w),
		progressbar.OptionSetDescription(fmt.Sprintf("send %d files", files)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionClearOnFinish())
}

func (p *progress) sent(f tuf.FeedFile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done += f.Length; p.bar != nil {
		p.bar.Set64(p.done)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		p.bar.Finish()
	}
}

type syncResult struct {
	Schema  int      `json:"schema"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Version int64    `json:"version"` // of the timestamp
	DryRun  bool     `json:"dry_run"`
	Files   int      `json:"files"` // that make up the feed
	Sent    []string `json:"sent"`  // or to be sent, at a dry run
	Bytes   int64    `json:"bytes"`
	Removed []string `json:"removed"`
}

func newSyncResult(m *mirror, p *plan) *syncResult {
	r := &syncResult{
		Schema: schema, From: m.from.String(), To: m.to.String(), Version: p.contents.Version, DryRun: m.dryRun, Files: len(p.contents.Files()),
		Sent: []string{}, Removed: append([]string{}, p.remove...),
	}
	for _, f := range p.send {
		r.Sent = append(r.Sent, f.Path)
		r.Bytes += f.Length
	}
	return r
}

func (r *syncResult) text(w io.Writer) {
	if r.DryRun {
		for _, path := range r.Sent {
			fmt.Fprintf(w, "would send %s\n", path)
		}
		for _, path := range r.Removed {
			fmt.Fprintf(w, "would remove %s\n", path)
		}
	}
	verb := map[bool]string{true: "would be sent", false: "sent"}[r.DryRun]
	fmt.Fprintf(w, "%s is publication %d of %s: %d of %d files %s, %d bytes", r.To, r.Version, filepath.ToSlash(r.From), len(r.Sent), r.Files, verb, r.Bytes)
	if len(r.Removed) > 0 && !r.DryRun {
		fmt.Fprintf(w, "; %d removed that were out of use", len(r.Removed))
	}
	fmt.Fprintln(w)
	if !r.DryRun && len(r.Sent) > 0 && strings.HasPrefix(r.To, "s3://") {
		fmt.Fprintln(w, "Next: moult verify with the URL that servers have")
	}
}
