package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newInit() *cobra.Command {
	var o tuf.InitOptions
	var pass passphraseFlags
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make keys and an empty feed",
		Long: `Make three keys and a valid feed with empty channels in DIR, to be served by any web server.

The root key says which other keys count. It belongs offline and is not needed again until a key changes. The targets key signs
what is published, the online key signs that it is fresh.`,
		Example: "  moult init feed --app hello",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := need(cmd, "app"); err != nil {
				return err
			}
			if o.Passphrase, err = pass.read(); err != nil {
				return err
			}
			if o.Passphrase == nil && !o.PlaintextKeys && len(o.RootKeyDirs) == 0 {
				if o.Passphrase, err = ask(cmd, "a passphrase for the keys", true); err != nil {
					return err
				}
			}
			if o.PlaintextKeys && o.Passphrase != nil {
				return &usageError{errors.New("--plaintext-keys and a passphrase exclude each other")}
			}
			r, err := tuf.Init(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			return emit(cmd, newInitResult(args[0], o, r))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.App, "app", "", "`name` of the application")
	f.StringSliceVar(&o.Channels, "channels", []string{"beta", "stable"}, "channels, parted by commas")
	f.StringVar(&o.KeyDir, "keys", "", "`directory` for the keys (default DIR-keys)")
	f.StringArrayVar(&o.RootKeyDirs, "root-keys", nil, "another `directory` for a root key, such as a removable disk; once for each root key")
	f.IntVar(&o.RootThreshold, "root-threshold", 1, "`number` of root keys that must sign a change of the root")
	f.BoolVar(&o.PlaintextKeys, "plaintext-keys", false, "leave all keys in one place in plain text; for trials only")
	pass.add(cmd)
	return cmd
}

type initResult struct {
	Schema     int      `json:"schema"`
	App        string   `json:"app"`
	Dir        string   `json:"dir"`
	Channels   []string `json:"channels"`
	RootFile   string   `json:"root_file"`
	RootKey    string   `json:"root_key"`
	TargetsKey string   `json:"targets_key"`
	OnlineKey  string   `json:"online_key"`
	Encrypted  bool     `json:"encrypted"`
}

func newInitResult(dir string, o tuf.InitOptions, r *tuf.Repository) *initResult {
	offline := o.RootKeyDirs
	if len(offline) == 0 {
		offline = []string{r.KeyDir()}
	}
	return &initResult{
		Schema: schema, App: r.App(), Dir: dir, Channels: r.Channels(), RootFile: r.RootFile(), Encrypted: len(o.Passphrase) > 0,
		RootKey: filepath.Join(offline[0], "root.key"), TargetsKey: filepath.Join(r.KeyDir(), "targets.key"), OnlineKey: filepath.Join(r.KeyDir(), "online.key"),
	}
}

func (r *initResult) text(w io.Writer) {
	how := "in plain text"
	if r.Encrypted {
		how = "encrypted"
	}
	fmt.Fprintf(w, "The feed of %s is in %s, its channels are empty.\n\n", r.App, r.Dir)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "offline\t%s\tthe root key, %s: move it to a medium that you lock away, and copy it to a second one\n", r.RootKey, how)
	fmt.Fprintf(t, "publish\t%s\tneeded by moult publish and promote, %s\n", r.TargetsKey, how)
	fmt.Fprintf(t, "online\t%s\tneeded by all of them and by moult refresh, %s\n", r.OnlineKey, how)
	t.Flush()
	fmt.Fprintf(w, `
Embed the root in the program:

    cp %s root.json

    //go:embed root.json
    var root []byte

Next:

    moult publish %[2]s ./%[3]s --version 1.0.0
    moult promote %[2]s 1.0.0
    moult verify %[2]s --root root.json

Then serve %[2]s by any web server, and run moult refresh %[2]s every day.
`, r.RootFile, r.Dir, r.App)
}
