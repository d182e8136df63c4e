package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moult-go/moult/release/tuf"
)

// source is where a secret comes from, as the user names it: PATH, env:NAME or cmd:COMMAND; for keys also
// sign:PUBLICKEYFILE:COMMAND.
type source string

func (s source) kind() (kind, rest string) {
	for _, kind := range []string{"env", "cmd", "sign"} {
		if rest, ok := strings.CutPrefix(string(s), kind+":"); ok {
			return kind, rest
		}
	}
	return "file", string(s)
}

// String leaves the command out: it may hold what is nobody's business in a log.
func (s source) String() string {
	switch kind, rest := s.kind(); kind {
	case "cmd", "sign":
		return kind + ":…"
	case "env":
		return "variable " + rest
	default:
		return rest
	}
}

// variables are those that the user named, taken out of our environment before any command runs: no child sees them.
type variables map[string][]byte

func takeVariables(sources ...source) variables {
	v := make(variables)
	v.take(sources...)
	return v
}

func (v variables) take(sources ...source) {
	for _, s := range sources {
		kind, name := s.kind()
		if _, taken := v[name]; kind == "env" && !taken {
			v[name] = []byte(os.Getenv(name))
			os.Unsetenv(name)
		}
	}
}

// read returns what a source holds.
func (v variables) read(ctx context.Context, s source) ([]byte, error) {
	switch kind, rest := s.kind(); kind {
	case "env":
		return v[rest], nil
	case "cmd":
		return runCommand(ctx, rest, nil)
	case "sign":
		return nil, &usageError{errors.New("sign: is for keys only")}
	default:
		return os.ReadFile(rest)
	}
}

// passphrase reads one line.
func (v variables) passphrase(ctx context.Context, s source) ([]byte, error) {
	b, err := v.read(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return nil, fmt.Errorf("%s is empty: %w", s, tuf.ErrPassphrase)
	}
	return b, nil
}

// signer loads a key, or what reaches one. unlock is called with the passphrases to try, one after the other.
func (v variables) signer(ctx context.Context, s source, unlock func(try func(passphrase []byte) error) error) (tuf.Signer, error) {
	kind, rest := s.kind()
	if strings.Contains(rest, "-----BEGIN") { // no error of ours repeats it
		return nil, &usageError{errors.New("a key is named by FILE, env:NAME, cmd:COMMAND or sign:PUBLICKEYFILE:COMMAND, never given on the command line")}
	}
	if kind == "sign" {
		return newCommandSigner(rest)
	}
	var text []byte
	if kind != "file" {
		var err error
		if text, err = v.read(ctx, s); err != nil {
			return nil, fmt.Errorf("read key from %s: %w", s, err)
		}
		if len(text) == 0 {
			return nil, fmt.Errorf("read key from %s: it is empty: %w", s, tuf.ErrNoKey)
		}
	}
	var k *tuf.Key
	err := unlock(func(passphrase []byte) (err error) {
		if kind == "file" {
			k, err = tuf.LoadKey(rest, passphrase)
		} else if k, err = tuf.ParseKey(text, passphrase); err != nil {
			err = fmt.Errorf("read key from %s: %w", s, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// commandSigner has a command sign: it gets the message on standard input and prints the signature, raw, in hexadecimal or base64.
type commandSigner struct {
	public  ed25519.PublicKey
	command string
}

func newCommandSigner(s string) (*commandSigner, error) {
	file, command, ok := strings.Cut(s, ":")
	if !ok || file == "" || command == "" {
		return nil, &usageError{errors.New("a key that signs by a command is named sign:PUBLICKEYFILE:COMMAND")}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	public, err := tuf.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &commandSigner{public, command}, nil
}

func (c *commandSigner) PublicKey() ed25519.PublicKey { return c.public }

func (c *commandSigner) Sign(ctx context.Context, message []byte) ([]byte, error) {
	out, err := runCommand(ctx, c.command, message)
	if err != nil {
		return nil, fmt.Errorf("sign by %w", err)
	}
	return tuf.ParseSignature(out)
}
