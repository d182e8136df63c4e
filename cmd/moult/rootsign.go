package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newRootSign() *cobra.Command {
	var keys keyFlags
	var rootFile string
	var yes bool
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Add a signature to a change of the root",
		Long: `Show what a file would change, ask, and add the signature of the root key. The feed is not needed: the file is followed from the root that you trust, which
is --root FILE, or root.json beside the key.`,
		Example: "  moult root sign change.json --root-key /media/ann/root.key",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(*keys.named[tuf.RootRole]) == 0 && keys.dir == "" {
				return &usageError{errors.New("--root-key is missing: the key to sign with")}
			}
			c, err := readChange(args[0])
			if err != nil {
				return err
			}
			trusted, err := readTrustedRoot(rootFile, keys.dir, *keys.named[tuf.RootRole])
			if err != nil {
				return err
			}
			if err := c.Follows(trusted); err != nil {
				return err
			}
			held, err := keys.load(cmd, "", tuf.RootRole)
			if err != nil {
				return err
			}
			if len(held.Root) == 0 {
				return fmt.Errorf("root key: %w in %s", tuf.ErrNoKey, keys.dir)
			}
			if err := showChange(cmd, c, yes); err != nil {
				return err
			}
			for _, s := range held.Root {
				added, err := c.Sign(cmd.Context(), s)
				if err != nil {
					return err
				}
				if !added {
					warn(cmd, "this key has signed before")
				}
			}
			if err := writeChange(args[0], c); err != nil {
				return err
			}
			return emit(cmd, newRootChangeResult(c, args[0], false))
		},
	}
	keys.addFor(cmd, tuf.RootRole)
	cmd.Flags().StringVar(&rootFile, "root", "", "`file` with a root of the feed that you trust (default: root.json beside the key)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before signing")
	return cmd
}

// readTrustedRoot finds the root that whoever signs trusts: named, or beside the key.
func readTrustedRoot(named, keyDir string, keys []string) ([]byte, error) {
	paths := []string{}
	if named != "" {
		paths = append(paths, named)
	} else {
		if keyDir != "" {
			paths = append(paths, filepath.Join(keyDir, "root.json"))
		}
		for _, k := range keys {
			if kind, path := source(k).kind(); kind == "file" {
				paths = append(paths, filepath.Join(filepath.Dir(path), "root.json"))
			}
		}
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err == nil || !errors.Is(err, os.ErrNotExist) || p == named {
			return b, err
		}
	}
	return nil, &usageError{errors.New("--root is missing: a root of the feed that you trust, such as the one that the program embeds; there is none beside the key")}
}

func newRootPublish() *cobra.Command {
	var keys keyFlags
	cmd := &cobra.Command{
		Use:   "publish DIR FILE",
		Short: "Publish a change of the root that enough keys have signed",
		Long: `Publish a change, and sign again what the old targets and online keys signed: with the new keys, which must be at hand, and with the old ones if they are. What was
interrupted is finished by running it again, or by any other command that publishes.`,
		Example: "  moult root publish feed change.json",
		Args:    nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readChange(args[1])
			if err != nil {
				return err
			}
			repo, err := keys.open(cmd, args[0])
			if err != nil {
				return err
			}
			if err := repo.PublishRoot(cmd.Context(), c); err != nil {
				return err
			}
			return emit(cmd, newRootChangeResult(c, args[1], true))
		},
	}
	keys.add(cmd)
	return cmd
}

func newRootKeygen() *cobra.Command {
	var keys keyFlags
	var plain bool
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key: FILE, and FILE.pub for others",
		Long: `Make a key for a role that is to get one more: the private key in FILE, encrypted unless --plaintext-key is given, and the public key in FILE.pub, which moult root add takes. Whoever
is to hold the key runs it, so that nobody else ever has it.`,
		Example: "  moult root keygen /media/bob/root.key",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := keys.prepare(cmd.Context()); err != nil {
				return err
			}
			var passphrase []byte
			if !plain {
				var err error
				if passphrase, err = keys.newPassphrase(cmd, tuf.RootRole, 0, args[0]); err != nil {
					return err
				}
				if len(passphrase) == 0 {
					return fmt.Errorf("%s would lie in plain text: %w", args[0], tuf.ErrPassphrase)
				}
			}
			k, err := tuf.CreateKey(args[0], passphrase)
			if err != nil {
				return err
			}
			public, err := tuf.MarshalPublicKey(k.PublicKey())
			if err != nil {
				return err
			}
			id, err := tuf.KeyID(k.PublicKey())
			if err != nil {
				return err
			}
			if err := putFile(args[0]+".pub", public); err != nil {
				return err
			}
			return emit(cmd, &rootKeygenResult{Schema: schema, ID: id, PrivateFile: args[0], PublicFile: args[0] + ".pub", Encrypted: len(passphrase) > 0})
		},
	}
	keys.addFor(cmd)
	cmd.Flags().BoolVar(&plain, "plaintext-key", false, "leave the private key in plain text")
	return cmd
}

type rootKeygenResult struct {
	Schema      int    `json:"schema"`
	ID          string `json:"id"`
	PrivateFile string `json:"private_file"`
	PublicFile  string `json:"public_file"`
	Encrypted   bool   `json:"encrypted"`
}

func (r *rootKeygenResult) text(w io.Writer) {
	fmt.Fprintf(w, "key %s\n%s signs; keep it offline.\n%s is for whoever runs: moult root add DIR root %s\n", r.ID, r.PrivateFile, r.PublicFile, filepath.Base(r.PublicFile))
}
