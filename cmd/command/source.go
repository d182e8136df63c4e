package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/dir"
	"github.com/moult-go/moult/updater/feed"
	"github.com/moult-go/moult/updater/file"
	"github.com/moult-go/moult/updater/forge"
	"github.com/moult-go/moult/updater/path"
)

// sourceFlags say where releases come from. They go before what the program itself says.
type sourceFlags struct {
	feed, root string
	mirrors    []string
	caFile     string
	watch      string
	github     string
	gitea      string
	gitlab     string
	releases   string
	file       string // of upgrade

	key        string
	insecure   bool
	program    string
	tokenFile  string
	tokenEnv   string
	channel    string
	constraint string

	typed func(flag string) bool // and not configured
}

func (f *sourceFlags) flags(cmd *cobra.Command, c cli) {
	fl := cmd.Flags()
	f.typed = fl.Changed
	fl.StringVar(&f.feed, "feed", "", "`URL` of a signed feed of releases; needs --root")
	fl.StringVar(&f.root, "root", "", "`file` with the feed's first root metadata")
	fl.StringArrayVar(&f.mirrors, "mirror", nil, "another `URL` of the same feed; may be repeated")
	fl.StringVar(&f.caFile, "ca-file", "", "PEM `file` of certificate authorities to trust beside the system's")
	fl.StringVar(&f.watch, "watch", "", "`path` where new executables are dropped; needs --minisign-key")
	fl.StringVar(&f.github, "github", "", "releases of a GitHub `repository`, OWNER/NAME or its URL")
	fl.StringVar(&f.gitea, "gitea", "", "releases of a Gitea or Forgejo `repository`, by its URL")
	fl.StringVar(&f.gitlab, "gitlab", "", "releases of a GitLab `project`, by its URL")
	fl.StringVar(&f.releases, "releases", "", "URL or path of a `directory` with the files of the newest release")
	fl.StringVar(&f.key, "minisign-key", "", "`file` with the publisher's minisign public key; every source but a feed needs it")
	fl.BoolVar(&f.insecure, "insecure-checksum-only", false, "take releases that have a checksum and no signature: whoever can change them can change that")
	fl.StringVar(&f.program, "program", "", "`name` of the executable in archives and file names (default the application's)")
	fl.StringVar(&f.tokenFile, "token-file", "", "`file` with a token for the forge")
	fl.StringVar(&f.tokenEnv, "token-env", "", "environment `variable` with a token for the forge")
	fl.StringVar(&f.channel, "channel", c.s.Channel, "`channel` of releases (default stable)")
	fl.StringVar(&f.constraint, "constraint", c.s.Constraint, "`versions` to keep to, as \">= 1.2, < 2\" (default any)")
}

// fileFlag is for upgrade, which may be given the new version itself.
func (f *sourceFlags) fileFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "file", "", "take this `file`, an executable or an archive with its signature beside it; a running server verifies it by its own key")
}

// named returns the flags that name a source, of those that were given.
func (f *sourceFlags) named() (given []string) {
	for _, s := range []struct{ flag, value string }{
		{"--feed", f.feed}, {"--watch", f.watch}, {"--github", f.github}, {"--gitea", f.gitea}, {"--gitlab", f.gitlab}, {"--releases", f.releases}, {"--file", f.file},
	} {
		if s.value != "" {
			given = append(given, s.flag)
		}
	}
	return given
}

// given reports whether somebody typed another source than a file, which only a process that acts alone can follow.
func (f *sourceFlags) given() bool {
	return slices.ContainsFunc(f.named(), func(s string) bool { return s != "--file" && f.typed(strings.TrimPrefix(s, "--")) })
}

// check says which flags do not go together.
func (f *sourceFlags) check() error {
	named := f.named()
	forges := f.github != "" || f.gitea != "" || f.gitlab != ""
	lone := forges || f.releases != "" || f.file != ""
	switch {
	case len(named) > 1:
		return usage("%s exclude each other", strings.Join(named, " and "))
	case (f.feed == "") != (f.root == ""):
		return usage("--feed and --root need each other")
	case f.feed == "" && len(f.mirrors) > 0:
		return usage("--mirror needs --feed")
	case f.caFile != "" && f.feed == "" && f.releases == "" && !forges:
		return usage("--ca-file is for --feed, --releases and the forges")
	case f.key != "" && f.insecure:
		return usage("--minisign-key and --insecure-checksum-only exclude each other")
	case f.watch != "" && f.key == "":
		return usage("--watch and --minisign-key need each other")
	case f.key != "" && f.watch == "" && !lone:
		return usage("--minisign-key is for --watch, --file, --releases and the forges")
	case f.insecure && !lone:
		return usage("--insecure-checksum-only is for --file, --releases and the forges")
	case (forges || f.releases != "") && f.key == "" && !f.insecure:
		return usage("%s needs --minisign-key: a signature says that a release is its publisher's", named[0])
	case f.tokenFile != "" && f.tokenEnv != "":
		return usage("--token-file and --token-env exclude each other")
	case (f.tokenFile != "" || f.tokenEnv != "") && !forges:
		return usage("a token is for --github, --gitea and --gitlab")
	}
	return nil
}

// apply puts the source into s.
func (f *sourceFlags) apply(s *server.Service) error {
	s.Channel, s.Constraint = f.channel, f.constraint
	if _, err := release.ParseConstraint(f.constraint); err != nil {
		return usage("%s: %v", config.Named(s.Settings, "constraint"), err)
	}
	if err := f.check(); err != nil {
		return err
	}
	var key string
	if f.key != "" {
		b, err := readTrust(config.Named(s.Settings, "minisign-key"), f.key)
		if err != nil {
			return err
		}
		key = string(b)
	}
	o := forge.Options{MinisignKey: key, ChecksumInsecure: f.insecure, Program: f.program, TokenFile: f.tokenFile, TokenEnv: f.tokenEnv, CAFile: f.caFile}
	switch {
	case f.feed != "":
		root, err := readTrust(config.Named(s.Settings, "root"), f.root)
		if err != nil {
			return err
		}
		s.Source = feed.NewWith(f.feed, root, feed.Options{Mirrors: f.mirrors, CAFile: f.caFile})
	case f.watch != "":
		s.Source = path.New(f.watch, key)
	case f.github != "":
		s.Source = forge.GitHub(f.github, o)
	case f.gitea != "":
		s.Source = forge.Gitea(f.gitea, o)
	case f.gitlab != "":
		s.Source = forge.GitLab(f.gitlab, o)
	case f.releases != "":
		s.Source = dir.New(f.releases, dir.Options{MinisignKey: key, ChecksumInsecure: f.insecure, Program: f.program, CAFile: f.caFile})
	case f.file != "":
		return f.applyFile(s, key)
	}
	return nil
}

// applyFile takes the key that was named, or else the policy of the program's own source.
func (f *sourceFlags) applyFile(s *server.Service, key string) error {
	name, err := filepath.Abs(f.file)
	if err != nil {
		return usage("--file: %v", err)
	}
	if key != "" || f.insecure {
		s.Source = file.New(name, file.Options{MinisignKey: key, ChecksumInsecure: f.insecure, Program: f.program})
		return nil
	}
	own, ok := s.Source.(updater.FileSource)
	if !ok {
		return usage("--file needs --minisign-key: a signature says that a file is its publisher's")
	}
	s.Source = own.File(name)
	return nil
}

// remoteFile is what a running server is asked for: a path and nothing that says why the file may be trusted. Only the server's own key counts,
// so that nobody who may speak to it can make it take what its operator would not.
func (f *sourceFlags) remoteFile() (string, error) {
	if f.typed("minisign-key") || f.typed("insecure-checksum-only") {
		return "", usage("the running server verifies the file by the key that it was started with: leave --minisign-key and --insecure-checksum-only out, or stop it first")
	}
	name, err := filepath.Abs(f.file)
	if err != nil {
		return "", usage("--file: %v", err)
	}
	return name, nil
}

// maxTrust bounds the files that trust begins with.
const maxTrust = 1 << 20

func readTrust(named, name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, usage("%s: %v", named, err)
	}
	if len(b) == 0 || len(b) > maxTrust {
		return nil, usage("%s: %s has %d bytes", named, name, len(b))
	}
	return b, nil
}
