package command

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/updater/feed"
	"github.com/moult-go/moult/updater/path"
)

// sourceFlags say where releases come from. They go before what the program itself says.
type sourceFlags struct {
	feed, root string
	mirrors    []string
	caFile     string
	watch, key string
	channel    string
	constraint string
}

func (f *sourceFlags) flags(cmd *cobra.Command, c cli) {
	fl := cmd.Flags()
	fl.StringVar(&f.feed, "feed", "", "URL of a signed feed of releases; needs --root")
	fl.StringVar(&f.root, "root", "", "file with the feed's first root metadata")
	fl.StringArrayVar(&f.mirrors, "mirror", nil, "another URL of the same feed; may be repeated")
	fl.StringVar(&f.caFile, "ca-file", "", "PEM file of certificate authorities to trust beside the system's")
	fl.StringVar(&f.watch, "watch", "", "path where new executables are dropped; needs --minisign-key")
	fl.StringVar(&f.key, "minisign-key", "", "file with the minisign public key for --watch")
	fl.StringVar(&f.channel, "channel", c.s.Channel, "channel of releases (default stable)")
	fl.StringVar(&f.constraint, "constraint", c.s.Constraint, `versions to keep to, as ">= 1.2, < 2" (default any)`)
}

func (f *sourceFlags) given() bool { return f.feed != "" || f.watch != "" }

// apply puts the source into s.
func (f *sourceFlags) apply(s *server.Service) error {
	s.Channel, s.Constraint = f.channel, f.constraint
	if _, err := release.ParseConstraint(f.constraint); err != nil {
		return usage("--constraint: %v", err)
	}
	switch {
	case f.feed != "" && f.watch != "":
		return usage("--feed and --watch exclude each other")
	case (f.feed == "") != (f.root == ""):
		return usage("--feed and --root need each other")
	case f.feed == "" && (len(f.mirrors) > 0 || f.caFile != ""):
		return usage("--mirror and --ca-file need --feed")
	case (f.watch == "") != (f.key == ""):
		return usage("--watch and --minisign-key need each other")
	case f.feed != "":
		root, err := readTrust("--root", f.root)
		if err != nil {
			return err
		}
		s.Source = feed.NewWith(f.feed, root, feed.Options{Mirrors: f.mirrors, CAFile: f.caFile})
	case f.watch != "":
		key, err := readTrust("--minisign-key", f.key)
		if err != nil {
			return err
		}
		s.Source = path.New(f.watch, string(key))
	}
	return nil
}

// maxTrust bounds the files that trust begins with.
const maxTrust = 1 << 20

func readTrust(flag, name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, usage("%s: %v", flag, err)
	}
	if len(b) == 0 || len(b) > maxTrust {
		return nil, usage("%s: %s has %d bytes", flag, name, len(b))
	}
	return b, nil
}
