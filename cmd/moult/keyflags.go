package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/moult-go/moult/release/tuf"
)

// passphraseFlags say where a passphrase comes from. It is never an argument: those are there for everybody to read.
type passphraseFlags struct{ file, env string }

func (p *passphraseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "`file` that holds the passphrase of the keys")
	cmd.Flags().StringVar(&p.env, "passphrase-env", "", "`name` of the variable that holds the passphrase of the keys")
}

func (p *passphraseFlags) given() bool { return p.file != "" || p.env != "" }

// read returns the passphrase, or nil if no source was named.
func (p *passphraseFlags) read() ([]byte, error) {
	var b []byte
	switch {
	case p.file != "" && p.env != "":
		return nil, &usageError{errors.New("--passphrase-file and --passphrase-env exclude each other")}
	case p.file != "":
		var err error
		if b, err = os.ReadFile(p.file); err != nil {
			return nil, fmt.Errorf("read passphrase: %w", err)
		}
		b = bytes.TrimRight(b, "\r\n")
	case p.env != "":
		b = []byte(os.Getenv(p.env))
		os.Unsetenv(p.env) // no child needs it
	default:
		return nil, nil
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("it is empty: %w", tuf.ErrPassphrase)
	}
	return b, nil
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

// keyFlags are those of every command that signs.
type keyFlags struct {
	dir        string
	passphrase passphraseFlags
}

func (k *keyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.dir, "keys", "", "`directory` of the keys (default DIR-keys)")
	k.passphrase.add(cmd)
}

// open opens a repository, and asks for a passphrase if the keys want one and nobody named a source.
func (k *keyFlags) open(cmd *cobra.Command, dir string) (*tuf.Repository, error) {
	pass, err := k.passphrase.read()
	if err != nil {
		return nil, err
	}
	r, err := tuf.Open(dir, tuf.OpenOptions{KeyDir: k.dir, Passphrase: pass})
	if !errors.Is(err, tuf.ErrPassphrase) || k.passphrase.given() {
		return r, err
	}
	pass, askErr := ask(cmd, "passphrase of the keys", false)
	if askErr != nil || len(pass) == 0 {
		return nil, errors.Join(askErr, err)
	}
	return tuf.Open(dir, tuf.OpenOptions{KeyDir: k.dir, Passphrase: pass})
}
