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
	var keys keyFlags
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make keys and an empty feed",
		Long: `Make three keys and a valid feed with empty channels in DIR, to be served by any web server.

The root key says which other keys count. It belongs offline and is not needed again until a key changes. The targets key signs
what is published, the online key signs that it is fresh. With --root-keys given several times several people hold a root key each. Keys that exist
are named by --root-key, --targets-key and --online-key: see moult help keys.`,
		Example: `  moult init feed --app hello
  moult init feed --app hello --root-keys /media/ann --root-keys /media/bob --root-keys /media/eve --root-threshold 2`,
		Args: nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := need(cmd, "app"); err != nil {
				return err
			}
			if err := keys.prepare(cmd.Context()); err != nil {
				return err
			}
			if o.PlaintextKeys && len(keys.common)+len(keys.specific) > 0 {
				return &usageError{errors.New("--plaintext-keys and a passphrase exclude each other")}
			}
			for _, role := range tuf.Roles() {
				for _, s := range *keys.named[role] {
					k, err := keys.signer(cmd, role, source(s))
					if err != nil {
						return err
					}
					addSigner(&o.Keys, role, k)
				}
			}
			o.KeyDir = keys.dir
			made := &initKeys{cmd: cmd, flags: &keys, plain: o.PlaintextKeys, encrypted: true}
			o.PassphraseFor = made.passphrase
			r, err := tuf.Init(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			return emit(cmd, newInitResult(args[0], o.RootThreshold, made, r))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.App, "app", "", "`name` of the application")
	f.StringSliceVar(&o.Channels, "channels", []string{"beta", "stable"}, "channels, parted by commas")
	f.StringArrayVar(&o.RootKeyDirs, "root-keys", nil, "another `directory` for a root key, such as a removable disk; once for each root key")
	f.IntVar(&o.RootThreshold, "root-threshold", 1, "`number` of root keys that must sign a change of the root")
	f.BoolVar(&o.PlaintextKeys, "plaintext-keys", false, "leave all keys in one place in plain text; for trials only")
	keys.addFor(cmd, tuf.Roles()...)
	return cmd
}

// initKeys notes which keys are made, and finds their passphrases.
type initKeys struct {
	cmd       *cobra.Command
	flags     *keyFlags
	plain     bool
	files     map[tuf.Role][]string
	encrypted bool // all of them
}

func (k *initKeys) passphrase(role tuf.Role, path string) ([]byte, error) {
	if k.files == nil {
		k.files = make(map[tuf.Role][]string)
	}
	n := len(k.files[role])
	k.files[role] = append(k.files[role], path)
	if k.plain {
		k.encrypted = false
		return nil, nil
	}
	p, err := k.flags.newPassphrase(k.cmd, role, n, path)
	k.encrypted = k.encrypted && len(p) > 0
	return p, err
}

// initResult names the files that were made: a role whose keys were named has none.
type initResult struct {
	Schema        int      `json:"schema"`
	App           string   `json:"app"`
	Dir           string   `json:"dir"`
	Channels      []string `json:"channels"`
	RootFile      string   `json:"root_file"`
	RootKeys      []string `json:"root_keys"`
	RootThreshold int      `json:"root_threshold"`
	TargetsKeys   []string `json:"targets_keys"`
	OnlineKeys    []string `json:"online_keys"`
	Encrypted     bool     `json:"encrypted"`
}

func newInitResult(dir string, threshold int, k *initKeys, r *tuf.Repository) *initResult {
	return &initResult{
		Schema: schema, App: r.App(), Dir: dir, Channels: r.Channels(), RootFile: r.RootFile(), RootThreshold: threshold, Encrypted: k.encrypted,
		RootKeys: append([]string{}, k.files[tuf.RootRole]...), TargetsKeys: append([]string{}, k.files[tuf.TargetsRole]...), OnlineKeys: append([]string{}, k.files[tuf.OnlineRole]...),
	}
}

func (r *initResult) text(w io.Writer) {
	how := "in plain text"
	if r.Encrypted {
		how = "encrypted"
	}
	fmt.Fprintf(w, "The feed of %s is in %s, its channels are empty.\n\n", r.App, r.Dir)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, path := range r.RootKeys {
		fmt.Fprintf(t, "offline\t%s\ta root key, %s: move it to a medium that you lock away, with a copy of %s, and copy it to a second one\n", path, how, filepath.Base(r.RootFile))
	}
	for _, path := range r.TargetsKeys {
		fmt.Fprintf(t, "publish\t%s\tneeded by moult publish and promote, %s\n", path, how)
	}
	for _, path := range r.OnlineKeys {
		fmt.Fprintf(t, "online\t%s\tneeded by all of them and by moult refresh, %s\n", path, how)
	}
	t.Flush()
	if r.RootThreshold > 1 {
		fmt.Fprintf(w, "\n%d root keys must sign a change of the root: moult root --help.\n", r.RootThreshold)
	}
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
