package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newRootGroup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "root",
		Short: "Change who may sign: keys, thresholds, the root's expiry",
		Long: `The root of a feed says which keys count. It is changed by its own keys: add, revoke, rotate, threshold and refresh begin a change. With
enough root keys at hand they publish it as well; otherwise --file FILE writes it into a file, which the holders of root keys sign one after
the other by moult root sign, and moult root publish puts it out. A FILE that is there is changed further, and its signatures are void.

Programs follow to the new root by themselves, however long they were off. The root that they embed need not change.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRootShow(), newRootAdd(), newRootRevoke(), newRootRotate(), newRootThreshold(), newRootRefresh(), newRootSign(), newRootPublish(), newRootKeygen())
	return cmd
}

func newRootShow() *cobra.Command {
	var keyDir string
	cmd := &cobra.Command{
		Use:   "show DIR|FILE",
		Short: "Say whom the root trusts, or what a file would change",
		Long: `Show the keys and thresholds of each role as the newest root has them, and its end; of a file that travels, show what it would change and whose signatures are missing. No key
is needed.`,
		Example: "  moult root show feed",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
				c, err := readChange(args[0])
				if err != nil {
					return err
				}
				return emit(cmd, newRootChangeResult(c, args[0], false))
			}
			trusted, err := os.ReadFile(tuf.TrustedRootFile(args[0], keyDir))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			repo, err := tuf.Inspect(args[0], trusted)
			if err != nil {
				return err
			}
			e := repo.Expiries()[0]
			return emit(cmd, &rootResult{Schema: schema, App: repo.App(), Dir: args[0], Version: e.Version, Expires: e.Expires, Roles: repo.Trusted()})
		},
	}
	cmd.Flags().StringVar(&keyDir, "keys", "", "`directory` with the trusted root (default DIR-keys)")
	return cmd
}

type rootResult struct {
	Schema  int            `json:"schema"`
	App     string         `json:"app"`
	Dir     string         `json:"dir"`
	Version int64          `json:"version"`
	Expires time.Time      `json:"expires"`
	Roles   []tuf.RoleKeys `json:"roles"`
}

func (r *rootResult) text(w io.Writer) {
	fmt.Fprintf(w, "root %d of %s, valid until %s\n", r.Version, r.App, r.Expires.Format(time.DateOnly))
	for _, role := range r.Roles {
		fmt.Fprintf(w, "\n%s: %d of %d must sign\n", role.Role, role.Threshold, len(role.Keys))
		for _, id := range role.Keys {
			fmt.Fprintf(w, "  %s\n", id)
		}
	}
	fmt.Fprintf(w, "\nRenew it by moult root refresh %s; moult root --help has the rest.\n", r.Dir)
}

// maxChange is more than any file of a change.
const maxChange = 8 << 20

func readChange(path string) (*tuf.RootChange, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxChange))
	if err != nil {
		return nil, err
	}
	c, err := tuf.ParseRootChange(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func writeChange(path string, c *tuf.RootChange) error {
	b, err := c.Marshal()
	if err != nil {
		return err
	}
	return putFile(path, b)
}

// rootChangeResult tells of a change: one that waits in a file, or one that is published.
type rootChangeResult struct {
	Schema    int                   `json:"schema"`
	App       string                `json:"app"`
	Version   int64                 `json:"version"`
	Changes   []string              `json:"changes"`
	Signed    []string              `json:"signed"` // ids of the root keys
	Missing   tuf.MissingSignatures `json:"missing"`
	File      string                `json:"file,omitempty"`
	Published bool                  `json:"published"`
	Created   string                `json:"created,omitempty"` // key file
}

func newRootChangeResult(c *tuf.RootChange, file string, published bool) *rootChangeResult {
	return &rootChangeResult{Schema: schema, App: c.App(), Version: c.Version(), Changes: c.Summary(), Signed: append([]string{}, c.Signed()...),
		Missing: c.Missing(), File: file, Published: published}
}

func (r *rootChangeResult) text(w io.Writer) {
	for _, line := range r.Changes {
		fmt.Fprintf(w, "  %s\n", line)
	}
	if r.Created != "" {
		fmt.Fprintf(w, "The new key is in %s.\n", r.Created)
	}
	switch m := r.Missing; {
	case r.Published:
		fmt.Fprintf(w, "Root %d of %s is published. Copy the feed to where it is served; destroy keys that were revoked.\n", r.Version, r.App)
	case m.Before == 0 && m.After == 0:
		fmt.Fprintf(w, "%s has all signatures it needs. Next: moult root publish DIR %s\n", r.File, r.File)
	default:
		fmt.Fprintf(w, "%s has %d signatures; still needed: %d of the root keys before the change, %d of those after it (one may count for both).\nNext, each on a machine of theirs: moult root sign %s\n",
			r.File, len(r.Signed), m.Before, m.After, r.File)
	}
}
