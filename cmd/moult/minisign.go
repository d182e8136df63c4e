package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
)

func newMinisign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "minisign",
		Short: "Sign lone files, for servers that watch a path or read the releases of a forge",
		Long: `Sign and verify executables, archives of them and files of checksums in the format of minisign, for servers that watch a path or read the releases of a forge
or a directory. A feed needs none of it. The files and keys are minisign's own; what is ours is the trusted comment, which says whose executable it is, which
version and for which platform.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeygen(), newSign(), newVerifyFile())
	return cmd
}

func newKeygen() *cobra.Command {
	var out string
	var plain bool
	var pass passphraseFlags
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key pair",
		Long: `Make a key pair: NAME.key, which signs and stays with you, encrypted unless --plaintext-key is given, and NAME.pub, which servers are given.
Existing files are not overwritten.`,
		Example: "  moult minisign keygen --out minisign",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := pass.read(cmd.Context())
			if err == nil && password == nil && !plain {
				password, err = ask(cmd, "a passphrase for the key", true)
			}
			if err != nil {
				return err
			}
			if len(password) == 0 && !plain {
				return &usageError{errors.New("the key would lie in plain text: give --passphrase-file or --passphrase-env, or --plaintext-key")}
			}
			public, private, err := release.GenerateMinisign(string(password))
			if err != nil {
				return err
			}
			r := &keygenResult{Schema: schema, PublicKey: public, PublicFile: out + ".pub", PrivateFile: out + ".key"}
			if err := writeNew(r.PrivateFile, private, 0o600); err != nil {
				return err
			}
			if err := writeNew(r.PublicFile, public, 0o644); err != nil {
				return errors.Join(err, os.Remove(r.PrivateFile))
			}
			return emit(cmd, r)
		},
	}
	cmd.Flags().StringVar(&out, "out", "minisign", "`path` of the two files, without .key and .pub")
	cmd.Flags().BoolVar(&plain, "plaintext-key", false, "leave the private key in plain text")
	pass.add(cmd)
	return cmd
}

// writeNew writes a file that must not exist.
func writeNew(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Sync(), f.Close())
}

type keygenResult struct {
	Schema      int    `json:"schema"`
	PublicKey   string `json:"public_key"`
	PublicFile  string `json:"public_file"`
	PrivateFile string `json:"private_file"`
}

func (r *keygenResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s signs; keep it secret.\n%s is for the servers:\n\n%s", r.PrivateFile, r.PublicFile, r.PublicKey)
}

func newSign() *cobra.Command {
	var key, version, platform, program string
	var c release.TrustedComment
	var pass passphraseFlags
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Write FILE.minisig",
		Long: `Sign an executable, or an archive (tar.gz, zip) of one, and say in the signature whose it is, which version and for which platform: a server wants to know.

A file of checksums (checksums.txt, as goreleaser writes it) is signed for all files that it names: one signature for a whole release. The files that lie
beside it are compared first.`,
		Example: `  moult minisign sign hello --app hello --version 1.4.0 --key minisign.key
  moult minisign sign dist/checksums.txt --app hello --version 1.4.0 --key minisign.key`,
		Args: nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := need(cmd, "app", "version", "key"); err != nil {
				return err
			}
			if c.Version, err = release.ParseVersion(version); err != nil {
				return &usageError{err}
			}
			if program == "" {
				program = c.App
			}
			sign, err := signer(cmd.Context(), args[0], platform, program, c)
			if err != nil {
				return err
			}
			signature, err := signFile(cmd.Context(), args[0], key, &pass, sign)
			if err != nil {
				return err
			}
			r := &signResult{Schema: schema, Signature: args[0] + ".minisig"}
			if err := putFile(r.Signature, signature); err != nil {
				return err
			}
			return emit(cmd, r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.App, "app", "", "`name` of the application")
	f.StringVar(&version, "version", "", "semantic `version` of the file")
	f.StringVar(&platform, "platform", "", "`os/arch` of the file (default: as its header says)")
	f.StringVar(&program, "program", "", "`name` of the executable in an archive (default: the application's)")
	f.StringVar(&key, "key", "", "`file` with the private key")
	pass.add(cmd)
	return cmd
}

// signFunc signs what it reads, with a private key and its password.
type signFunc func(private, password string, file io.Reader) ([]byte, error)

// signer finds out what a file is, and so what its signature has to say.
func signer(ctx context.Context, path, platform, program string, c release.TrustedComment) (signFunc, error) {
	sums, err := sumsOf(path)
	if err != nil {
		return nil, err
	}
	if sums != nil {
		if platform != "" {
			return nil, &usageError{errors.New("a file of checksums is for all platforms")}
		}
		sign := func(private, password string, file io.Reader) ([]byte, error) {
			return release.SignChecksums(private, password, file, release.ChecksumsComment{App: c.App, Version: c.Version})
		}
		return sign, checkSums(path, sums)
	}
	x, err := inspectLone(ctx, path, program)
	if err != nil {
		return nil, err
	}
	if c.Platform, err = x.agree(platform); err != nil {
		return nil, err
	}
	return func(private, password string, file io.Reader) ([]byte, error) {
		return release.SignMinisign(private, password, file, c)
	}, nil
}

func signFile(ctx context.Context, path, keyFile string, pass *passphraseFlags, sign signFunc) ([]byte, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	password, err := pass.read(ctx)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	signature, err := sign(string(key), string(password), f)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", path, err)
	}
	return signature, nil
}

// putFile writes a file in one step: a server may be looking.
func putFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".minisig-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

type signResult struct {
	Schema    int    `json:"schema"`
	Signature string `json:"signature"`
}

func (r *signResult) text(w io.Writer) { fmt.Fprintln(w, r.Signature) }

func newVerifyFile() *cobra.Command {
	var key, signature string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify FILE by FILE.minisig",
		Long: `Verify an executable, an archive or a file of checksums as a server does: the signature over its bytes, the trusted comment, and that the two agree. Of
a file of checksums the files that lie beside it are compared too. It prints what the comment says.`,
		Example: "  moult minisign verify hello --key minisign.pub",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "key"); err != nil {
				return err
			}
			if signature == "" {
				signature = args[0] + ".minisig"
			}
			public, err := os.ReadFile(key)
			if err != nil {
				return err
			}
			sig, err := os.ReadFile(signature)
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s is not signed: %w: no %s", args[0], release.ErrBadSignature, filepath.Base(signature))
			}
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			v, err := verifyLone(args[0], string(public), sig, f)
			if err != nil {
				return fmt.Errorf("verify %s: %w", args[0], err)
			}
			return emit(cmd, v)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "`file` with the public key")
	cmd.Flags().StringVar(&signature, "signature", "", "`file` with the signature (default FILE.minisig)")
	return cmd
}

func verifyLone(path, public string, sig []byte, f io.Reader) (*verifiedFile, error) {
	sums, err := sumsOf(path)
	if err != nil {
		return nil, err
	}
	if sums == nil {
		c, err := release.VerifyMinisign(public, sig, f)
		return &verifiedFile{Schema: schema, App: c.App, Version: c.Version, Platform: &c.Platform, SHA256: c.SHA256}, err
	}
	c, err := release.VerifyChecksums(public, sig, f)
	if err == nil {
		err = checkSums(path, sums)
	}
	return &verifiedFile{Schema: schema, App: c.App, Version: c.Version, SHA256: c.SHA256, Files: len(sums)}, err
}

type verifiedFile struct {
	Schema   int               `json:"schema"`
	App      string            `json:"app"`
	Version  release.Version   `json:"version"`
	Platform *release.Platform `json:"platform,omitempty"` // not of a file of checksums
	SHA256   release.Digest    `json:"sha256"`
	Files    int               `json:"files,omitempty"` // that a file of checksums names
}

func (v *verifiedFile) text(w io.Writer) {
	if v.Platform == nil {
		fmt.Fprintf(w, "%s %s, checksums of %d files, sha256 %s\n", v.App, v.Version, v.Files, v.SHA256)
		return
	}
	fmt.Fprintf(w, "%s %s for %s, sha256 %s\n", v.App, v.Version, v.Platform, v.SHA256)
}
