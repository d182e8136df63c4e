package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/moult-go/moult/release/tuf"
)

// passphraseFlags say where a passphrase comes from. It is never an argument: those are there for everybody to read.
type passphraseFlags struct{ file, env, command string }

func (p *passphraseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "`file` that holds the passphrase of the keys")
	cmd.Flags().StringVar(&p.env, "passphrase-env", "", "`name` of the variable that holds the passphrase of the keys")
	cmd.Flags().StringVar(&p.command, "passphrase-cmd", "", "`command` that prints the passphrase of the keys")
}

// sources lists what was named: one at the most.
func (p *passphraseFlags) sources() ([]source, error) {
	var list []source
	for prefix, s := range map[string]string{"": p.file, "env:": p.env, "cmd:": p.command} {
		if s != "" {
			list = append(list, source(prefix+s))
		}
	}
	if len(list) > 1 {
		return nil, &usageError{errors.New("--passphrase-file, --passphrase-env and --passphrase-cmd exclude each other")}
	}
	return list, nil
}

// read returns the passphrase, or nil if no source was named.
func (p *passphraseFlags) read(ctx context.Context) ([]byte, error) {
	list, err := p.sources()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return takeVariables(list...).passphrase(ctx, list[0])
}

// ask reads a passphrase from the terminal, twice if it is a new one; nil if there is no terminal.
func ask(cmd *cobra.Command, prompt string, twice bool) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, nil
	}
	read := func(prompt string) ([]byte, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		return term.ReadPassword(int(in.Fd()))
	}
	first, err := read(prompt + ": ")
	if err != nil || !twice {
		return first, err
	}
	second, err := read("the same again: ")
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the passphrases differ")
	}
	return first, err
}

// keyFlags are those of every command that signs. `moult help keys` explains them.
type keyFlags struct {
	dir           string
	named         map[tuf.Role]*[]string
	passphrase    passphraseFlags
	passphraseFor []string // ROLE=SOURCE

	vars     variables
	common   [][]byte
	specific map[tuf.Role][]source
}

func (k *keyFlags) add(cmd *cobra.Command) { k.addFor(cmd, tuf.TargetsRole, tuf.OnlineRole) }

func (k *keyFlags) addFor(cmd *cobra.Command, roles ...tuf.Role) {
	f := cmd.Flags()
	f.StringVar(&k.dir, "keys", "", "`directory` of the keys (default DIR-keys)")
	k.named = make(map[tuf.Role]*[]string)
	for _, r := range roles {
		k.named[r] = new([]string)
		f.StringArrayVar(k.named[r], string(r)+"-key", nil, "`source` of a "+string(r)+" key instead of the directory: FILE, env:NAME, cmd:COMMAND or sign:PUBLICKEYFILE:COMMAND")
	}
	k.passphrase.add(cmd)
	f.StringArrayVar(&k.passphraseFor, "passphrase-for", nil, "`ROLE=SOURCE` of a passphrase of its own: FILE, env:NAME or cmd:COMMAND")
}

// prepare looks at what was named, and takes secrets out of the environment before any command runs.
func (k *keyFlags) prepare(ctx context.Context) error {
	all, err := k.passphrase.sources()
	if err != nil {
		return err
	}
	common := slices.Clone(all)
	k.specific = make(map[tuf.Role][]source)
	for _, s := range k.passphraseFor {
		name, rest, ok := strings.Cut(s, "=")
		role, err := tuf.ParseRole(name)
		if !ok || rest == "" || err != nil {
			return &usageError{errors.New("--passphrase-for wants root=SOURCE, targets=SOURCE or online=SOURCE")}
		}
		k.specific[role] = append(k.specific[role], source(rest))
		all = append(all, source(rest))
	}
	for _, refs := range k.named {
		for _, s := range *refs {
			all = append(all, source(s))
		}
	}
	k.vars = takeVariables(all...)
	for _, s := range common {
		p, err := k.vars.passphrase(ctx, s)
		if err != nil {
			return err
		}
		k.common = append(k.common, p)
	}
	return nil
}

// signer loads one key, with the passphrases of its role, then the common one, then one from the terminal.
func (k *keyFlags) signer(cmd *cobra.Command, role tuf.Role, s source) (tuf.Signer, error) {
	return k.vars.signer(cmd.Context(), s, func(try func([]byte) error) error {
		err := try(nil) // it may be in plain text
		for _, from := range k.specific[role] {
			if !errors.Is(err, tuf.ErrPassphrase) {
				return err
			}
			p, readErr := k.vars.passphrase(cmd.Context(), from)
			if readErr != nil {
				return readErr
			}
			err = try(p)
		}
		for _, p := range k.common {
			if errors.Is(err, tuf.ErrPassphrase) {
				err = try(p)
			}
		}
		if !errors.Is(err, tuf.ErrPassphrase) || len(k.common)+len(k.specific[role]) > 0 {
			return err
		}
		p, askErr := ask(cmd, fmt.Sprintf("passphrase of the %s key %s", role, s), false)
		if askErr != nil || len(p) == 0 {
			return errors.Join(askErr, err)
		}
		if err = try(p); err == nil {
			k.common = append(k.common, p) // the others may have the same
		}
		return err
	})
}

// load loads the keys of these roles: those named, or those in the key directory.
func (k *keyFlags) load(cmd *cobra.Command, dir string, roles ...tuf.Role) (tuf.Keys, error) {
	var keys tuf.Keys
	if err := k.prepare(cmd.Context()); err != nil {
		return keys, err
	}
	for _, role := range roles {
		sources := *k.named[role]
		if len(sources) == 0 {
			var err error
			if sources, err = tuf.KeyFiles(k.directory(dir), role); err != nil {
				return keys, err
			}
		}
		for _, s := range sources {
			signer, err := k.signer(cmd, role, source(s))
			if err != nil {
				return keys, err
			}
			addSigner(&keys, role, signer)
		}
	}
	return keys, nil
}

// directory is that of the keys of the feed in dir.
func (k *keyFlags) directory(dir string) string { return filepath.Dir(tuf.TrustedRootFile(dir, k.dir)) }

func addSigner(keys *tuf.Keys, role tuf.Role, s tuf.Signer) {
	switch role {
	case tuf.RootRole:
		keys.Root = append(keys.Root, s)
	case tuf.TargetsRole:
		keys.Targets = append(keys.Targets, s)
	default:
		keys.Online = append(keys.Online, s)
	}
}

// open opens a repository with the keys for daily use, and asks for passphrases if they want some and nobody named a source.
func (k *keyFlags) open(cmd *cobra.Command, dir string) (*tuf.Repository, error) {
	keys, err := k.load(cmd, dir, tuf.TargetsRole, tuf.OnlineRole)
	if err != nil {
		return nil, err
	}
	return tuf.Open(dir, tuf.OpenOptions{KeyDir: k.dir, Keys: keys, WithoutKeyFiles: true})
}

// newPassphrase returns the passphrase for the nth key of a role that is yet to be made; nil leaves it in plain text.
func (k *keyFlags) newPassphrase(cmd *cobra.Command, role tuf.Role, n int, path string) ([]byte, error) {
	if from := k.specific[role]; len(from) > 0 {
		return k.vars.passphrase(cmd.Context(), from[min(n, len(from)-1)])
	}
	if len(k.common) > 0 {
		return k.common[0], nil
	}
	p, err := ask(cmd, fmt.Sprintf("a passphrase for the %s key %s", role, path), true)
	return p, err
}
