package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

// rootFlags are those of the commands that begin a change of the root.
type rootFlags struct {
	keyFlags
	file string
	yes  bool
}

func (f *rootFlags) add(cmd *cobra.Command) {
	f.addFor(cmd, tuf.Roles()...)
	cmd.Flags().StringVar(&f.file, "file", "", "write the change into `FILE`, to be signed by others, and publish nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask before signing")
}

// load loads the keys that the change needs here: none but a new one if others sign it.
func (f *rootFlags) load(cmd *cobra.Command, dir string) (tuf.Keys, error) {
	if f.file != "" {
		return f.keyFlags.load(cmd, dir)
	}
	return f.keyFlags.load(cmd, dir, tuf.Roles()...)
}

// change begins a change or goes on with the one in the file; then it is written, or signed and published.
func (f *rootFlags) change(cmd *cobra.Command, dir string, keys tuf.Keys, created string, edit func(*tuf.RootChange) error) error {
	repo, err := tuf.Open(dir, tuf.OpenOptions{KeyDir: f.dir, Keys: keys, WithoutKeyFiles: true})
	if err != nil {
		return err
	}
	c, err := repo.ChangeRoot(cmd.Context())
	if err != nil {
		return err
	}
	if f.file != "" {
		if _, err := os.Stat(f.file); err == nil {
			fresh := c
			if c, err = readChange(f.file); err != nil {
				return err
			}
			if c.Version() != fresh.Version() {
				return fmt.Errorf("%s is a change to root %d, the next one is %d: remove the file: %w", f.file, c.Version(), fresh.Version(), tuf.ErrRollback)
			}
		}
	}
	if err := edit(c); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if f.file == "" {
		return f.signAndPublish(cmd, repo, c, keys.Root, created)
	}
	if err := writeChange(f.file, c); err != nil {
		return err
	}
	r := newRootChangeResult(c, f.file, false)
	r.Created = created
	return emit(cmd, r)
}

func (f *rootFlags) signAndPublish(cmd *cobra.Command, repo *tuf.Repository, c *tuf.RootChange, signers []tuf.Signer, created string) error {
	if len(signers) == 0 {
		return fmt.Errorf("no root key is at hand: %w", tuf.ErrUnsigned)
	}
	if err := showChange(cmd, c, f.yes); err != nil {
		return err
	}
	for _, s := range signers {
		if _, err := c.Sign(cmd.Context(), s); err != nil {
			return err
		}
	}
	if err := repo.PublishRoot(cmd.Context(), c); err != nil {
		return err
	}
	r := newRootChangeResult(c, "", true)
	r.Created = created
	return emit(cmd, r)
}

// showChange says what a root key is about to sign, and asks.
func showChange(cmd *cobra.Command, c *tuf.RootChange, yes bool) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "root %d of %s:\n", c.Version(), printable(c.App()))
	for _, line := range c.Summary() {
		fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", line)
	}
	return confirm(cmd, yes, "Sign it with the root key?")
}

func parseRole(s string) (tuf.Role, error) {
	role, err := tuf.ParseRole(s)
	if err != nil {
		return "", &usageError{err}
	}
	return role, nil
}

func newRootAdd() *cobra.Command {
	var f rootFlags
	cmd := &cobra.Command{
		Use:   "add DIR ROLE KEY",
		Short: "Trust one more key as a root, targets or online key",
		Long: `Trust one more key. KEY is a file with a public key, as moult root keygen writes it, or a source of a private key (moult help keys): that one is
needed at once where the new key must sign, which is for targets and online.`,
		Example: "  moult root add feed root bob.pub --file change.json",
		Args:    nArgs(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := parseRole(args[1])
			if err != nil {
				return err
			}
			keys, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			public, err := f.newKey(cmd, role, args[2], &keys)
			if err != nil {
				return err
			}
			return f.change(cmd, args[0], keys, "", func(c *tuf.RootChange) error { return c.AddKey(role, public) })
		},
	}
	f.add(cmd)
	return cmd
}

func newRootRevoke() *cobra.Command {
	var f rootFlags
	cmd := &cobra.Command{
		Use:     "revoke DIR ROLE KEYID",
		Short:   "Trust a key no more",
		Long:    "Trust a key no more. The beginning of its id is enough; moult root show lists them.",
		Example: "  moult root revoke feed root 5f3a91",
		Args:    nArgs(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := parseRole(args[1])
			if err != nil {
				return err
			}
			keys, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			return f.change(cmd, args[0], keys, "", func(c *tuf.RootChange) error { return c.RevokeKey(role, args[2]) })
		},
	}
	f.add(cmd)
	return cmd
}

func newRootThreshold() *cobra.Command {
	var f rootFlags
	cmd := &cobra.Command{
		Use:   "threshold DIR ROLE NUMBER",
		Short: "Say how many root or targets keys must sign",
		Long: `Set how many keys of a role must sign: of root keys for a change of the root, of targets keys for a release. A threshold above the number of keys, which would lock everybody out,
is refused.`,
		Example: "  moult root threshold feed root 2 --file change.json",
		Args:    nArgs(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := parseRole(args[1])
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(args[2])
			if err != nil {
				return &usageError{fmt.Errorf("threshold %q is no number", args[2])}
			}
			keys, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			return f.change(cmd, args[0], keys, "", func(c *tuf.RootChange) error { c.SetThreshold(role, n); return nil })
		},
	}
	f.add(cmd)
	return cmd
}

func newRootRefresh() *cobra.Command {
	var f rootFlags
	cmd := &cobra.Command{
		Use:   "refresh DIR",
		Short: "Renew the root for another year, with the same keys",
		Long: `Sign the root again with a later end, and change nothing else. It is due once a year: moult doctor and every command that signs say so from 60 days before. Where several people must sign,
--file writes the change for them to sign instead.`,
		Example: "  moult root refresh feed --root-key /media/ann/root.key",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			return f.change(cmd, args[0], keys, "", func(*tuf.RootChange) error { return nil })
		},
	}
	f.add(cmd)
	return cmd
}

func newRootRotate() *cobra.Command {
	var f rootFlags
	var to string
	var plain bool
	cmd := &cobra.Command{
		Use:   "rotate DIR ROLE [KEYID]",
		Short: "Exchange a key for a new one",
		Long: `Exchange a root, targets or online key for another one, and sign again what the old one signed. The new key is --to KEY, as in moult root add; without it a
targets or online key is made in the directory of the keys. KEYID says which one goes where the role has several.

With the old key at hand no reader notices. Without it (it is lost) a reader that comes in the moment between two files must come again.`,
		Example: "  moult root rotate feed online --root-key /media/ann/root.key",
		Args:    nArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			role, err := parseRole(args[1])
			if err != nil {
				return err
			}
			keys, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			var created string
			if to == "" {
				if created, err = f.createKey(cmd, args[0], role, plain); err != nil {
					return err
				}
				defer func() {
					if err != nil {
						err = f.keepOrRemove(created, args[0], err)
					}
				}()
				to = created
			}
			public, err := f.newKey(cmd, role, to, &keys)
			if err != nil {
				return err
			}
			return f.change(cmd, args[0], keys, created, func(c *tuf.RootChange) error {
				old, err := oldKey(c, role, append(args, "")[2])
				if err != nil {
					return err
				}
				return errors.Join(c.AddKey(role, public), c.RevokeKey(role, old))
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the new `KEY`")
	cmd.Flags().BoolVar(&plain, "plaintext-keys", false, "leave the new key in plain text even where the root key lies; for trials only")
	return cmd
}

// oldKey is the key that goes.
func oldKey(c *tuf.RootChange, role tuf.Role, id string) (string, error) {
	if id != "" {
		return id, nil
	}
	ids := c.Keys(role)
	if len(ids) != 1 {
		return "", &usageError{fmt.Errorf("there are %d %s keys: name the one that goes by its id", len(ids), role)}
	}
	return ids[0], nil
}

// newKey reads the key that is to be trusted. If it can sign it does so from now on.
func (f *rootFlags) newKey(cmd *cobra.Command, role tuf.Role, named string, keys *tuf.Keys) ([]byte, error) {
	if kind, path := source(named).kind(); kind == "file" {
		if info, err := os.Stat(path); err == nil && info.Size() <= maxChange {
			if text, err := os.ReadFile(path); err == nil {
				if public, err := tuf.ParsePublicKey(text); err == nil {
					return public, nil
				}
			}
		}
	}
	f.vars.take(source(named))
	s, err := f.signer(cmd, role, source(named))
	if err != nil {
		return nil, err
	}
	addSigner(keys, role, s)
	return s.PublicKey(), nil
}

// createKey makes a key in the directory of the keys.
func (f *rootFlags) createKey(cmd *cobra.Command, dir string, role tuf.Role, plain bool) (string, error) {
	if role == tuf.RootRole {
		return "", &usageError{errors.New("a root key is not made beside the others: make it by moult root keygen, and name it by --to")}
	}
	keyDir := f.directory(dir)
	var path string
	for n := 2; ; n++ {
		path = filepath.Join(keyDir, fmt.Sprintf("%s-%d.key", role, n))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
	}
	var passphrase []byte
	if !plain {
		var err error
		if passphrase, err = f.newPassphrase(cmd, role, 0, path); err != nil {
			return "", err
		}
		beside, err := tuf.KeyFiles(keyDir, tuf.RootRole)
		if err != nil {
			return "", err
		}
		if len(passphrase) == 0 && len(beside) > 0 {
			return "", fmt.Errorf("make %s beside %s: %w", path, beside[0], tuf.ErrPlaintextKeys)
		}
	}
	_, err := tuf.CreateKey(path, passphrase)
	return path, err
}

// keepOrRemove removes a key that was made for a change that came to nothing. One that is being published is kept: the next command needs it.
func (f *rootFlags) keepOrRemove(path, dir string, err error) error {
	if _, statErr := os.Stat(filepath.Join(f.directory(dir), tuf.UnfinishedRootFile)); statErr == nil {
		return err
	}
	return errors.Join(err, os.Remove(path))
}
