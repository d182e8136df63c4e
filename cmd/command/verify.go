package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/file"
)

// verifyDocument is what verify --json prints of a file that would be accepted; of another one it prints a failure.
type verifyDocument struct {
	Schema   int            `json:"schema"`
	Accepted bool           `json:"accepted"`
	File     string         `json:"file"`
	Version  string         `json:"version"`
	Digest   release.Digest `json:"digest"` // of the executable
	By       string         `json:"by"`     // who vouches for it
	Keys     []string       `json:"keys"`   // IDs of the keys that signed
	Current  string         `json:"current"`
	Newer    bool           `json:"newer"` // than this executable
}

func (c cli) verify() *cobra.Command {
	var (
		source sourceFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Say whether a file would be accepted as an update, and by whose key",
		Long: `Take an executable, or an archive with one, through all that an update goes through short of the handover: its signature or the feed that must list it,
its digest, its unpacking, its header, platform and module, and the proof that it starts and says which version it is. It is done to a copy in a
temporary directory; nothing else is changed, and the running server is not asked.

The file is trusted by --minisign-key, with its signature beside it; by --feed, if the feed lists it; or else as the program itself is configured.
Whether it would be applied now (held, quarantined, not its turn) is for check to say.`,
		Example: fmt.Sprintf(`  %[1]s verify ./%[1]s-1.4.0 --minisign-key release.pub
  %[1]s verify ./%[1]s-1.4.0 --feed https://example.com/%[1]s --root root.json`, c.s.Name),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("name one file")
			}
			return nil
		},
	}
	source.flags(cmd, c)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, args []string) error {
		s := c.s
		src, err := source.of(&s, args[0])
		if err != nil {
			return err
		}
		w := &witness{Source: src}
		out, err := rehearse(cmd.Context(), s, w)
		if err != nil {
			return err
		}
		return c.accepted(cmd, args[0], w, out, asJSON)
	})
	return cmd
}

// of is the source that vouches for one file, or does not.
func (f *sourceFlags) of(s *server.Service, name string) (updater.Source, error) {
	if len(f.named()) == 0 && (f.key != "" || f.insecure) {
		f.file = name
	}
	if err := f.apply(s); err != nil {
		return nil, err
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, usage("%v", err)
	}
	if _, err := os.Stat(name); err != nil {
		return nil, usage("%v", err)
	}
	if f.file != "" {
		return s.Source, nil
	}
	if s.Source == nil {
		return nil, usage("nothing says why %s may be trusted: name --minisign-key, or --feed and --root", name)
	}
	if own, ok := s.Source.(updater.FileSource); ok {
		return own.File(name), nil
	}
	return &listed{s.Source, name}, nil
}

// listed offers a file on disk if a source lists it.
type listed struct {
	updater.Source
	path string
}

func (l *listed) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	offers, err := l.Source.Check(ctx, q)
	if err != nil {
		return nil, err
	}
	d, n, err := release.DigestFile(l.path)
	if err != nil {
		return nil, &updater.Error{Class: updater.Failed, Reason: "io", Err: err}
	}
	for _, c := range offers {
		switch d {
		case c.Digest:
			c.Full = release.Payload{Length: n, SHA256: d}
		case c.Full.SHA256:
		default:
			continue
		}
		c.Full.Path, c.Deltas = l.path, nil
		return []updater.Candidate{c}, nil
	}
	return nil, &updater.Error{Class: updater.Verification, Reason: "not-listed",
		Err: fmt.Errorf("%s, sha256 %s, is none of the %d releases that %s lists for this platform in channel %s", l.path, d, len(offers), l.Source, q.Channel)}
}

func (l *listed) Fetch(ctx context.Context, _ updater.Query, p release.Payload, dst io.Writer) error {
	return file.Copy(ctx, p, dst)
}

// witness remembers what a source offered, and by whose keys.
type witness struct {
	updater.Source
	offered updater.Candidate
	keys    []string
}

func (w *witness) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	list, err := w.Source.Check(ctx, q)
	if err != nil || len(list) == 0 {
		return list, err
	}
	w.offered = list[0]
	src := w.Source
	if l, ok := src.(*listed); ok {
		src = l.Source
	}
	if k, ok := src.(updater.KeySource); ok && k.Key() != "" {
		w.keys = append(w.keys, k.Key())
	}
	if e, ok := src.(interface{ Expiries() []updater.Expiry }); ok {
		for _, role := range e.Expiries() {
			if role.Role == "targets" {
				w.keys = append(w.keys, role.Keys...)
			}
		}
	}
	return list, nil
}

// rehearse updates a stand-in for the installed executable in a temporary directory: with a version below all others, so that only the file is judged.
// What this host trusts of a feed goes along, so that a feed that went back is noticed.
func rehearse(ctx context.Context, s server.Service, src updater.Source) (updater.Outcome, error) {
	dir, err := os.MkdirTemp("", s.Name+"-verify-")
	if err != nil {
		return updater.Outcome{}, fmt.Errorf("verify: %w", err)
	}
	defer os.RemoveAll(dir)
	standIn := filepath.Join(dir, s.Name)
	if err := os.WriteFile(standIn, nil, 0o755); err != nil {
		return updater.Outcome{}, fmt.Errorf("verify: %w", err)
	}
	if err := lendTrust(s, admin.StateDir(standIn)); err != nil {
		return updater.Outcome{}, err
	}
	u, err := updater.New(updater.Options{Name: s.Name, Version: "0.0.0-0", Source: src, Channel: s.Channel, InstallPath: standIn, IgnorePackageManager: true, KeepVersions: 2})
	if err != nil {
		return updater.Outcome{}, err
	}
	return u.Upgrade(ctx, updater.Request{Manual: true})
}

// lendTrust copies what this host trusts of the feed into another state directory.
func lendTrust(s server.Service, to string) error {
	from := s.StateDir
	if from == "" {
		exe, err := executable()
		if err != nil {
			return err
		}
		from = admin.StateDir(exe)
	}
	from = filepath.Join(from, "feed")
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	feed := filepath.Join(to, "feed")
	if err := errors.Join(os.Mkdir(to, 0o700), os.CopyFS(feed, os.DirFS(from)), os.Chmod(feed, 0o700)); err != nil {
		return fmt.Errorf("verify: copy what is trusted of the feed: %w", err)
	}
	return nil
}

func (c cli) accepted(cmd *cobra.Command, name string, w *witness, o updater.Outcome, asJSON bool) error {
	d := verifyDocument{Schema: admin.Schema, Accepted: true, File: name, Version: o.To, Digest: o.Digest, By: w.String(), Keys: []string{}, Current: c.s.Version}
	d.Keys = append(d.Keys, slices.Compact(w.keys)...)
	old, err := release.ParseVersion(c.s.Version)
	v := w.offered.Version
	d.Newer = err == nil && v.Compare(old) > 0
	if asJSON {
		return printJSON(cmd.OutOrStdout(), d)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s is %s %s, and would be accepted (sha256 %s)\n", plain(name), c.s.Name, plain(d.Version), d.Digest)
	if len(d.Keys) > 0 {
		fmt.Fprintf(out, "signed by %s, for %s\n", keyList(d.Keys), plain(d.By))
	} else {
		fmt.Fprintf(out, "trusted for its checksum alone, by %s\n", plain(d.By))
	}
	switch {
	case err != nil:
		_, err = fmt.Fprintf(out, "version %q of this executable cannot be compared with it\n", c.s.Version)
	case d.Newer:
		_, err = fmt.Fprintf(out, "it is newer than this executable, %s\n", c.s.Version)
	default:
		_, err = fmt.Fprintf(out, "it is no update for this executable, %s: it is not newer\n", c.s.Version)
	}
	return err
}

func keyList(keys []string) string {
	text := "key " + keys[0]
	for _, k := range keys[1:] {
		text += " and " + k
	}
	return text
}
