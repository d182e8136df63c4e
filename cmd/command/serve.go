package command

import (
	"errors"
	"flag"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/updater"
)

func (c cli) serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve, and keep up to date",
		Long: `Serve until stopped, and replace this program by newer releases while it serves.

HUP and USR2 restart it without losing a request: they start whatever stands at the path of the executable, which reads its configuration
again. Of several instances of one executable the first updates it, and the others follow.
TERM and INT finish the requests under way and stop; a second one, more than a second later, stops at once.

Every flag may as well stand in a TOML file (--config) or in a variable: "help configuration" has the rules, "config show" the values in effect.`,
		Example: c.examples("serve --listen localhost:8080 --feed https://example.com/"+c.s.Name+" --root root.json",
			"serve --config /etc/"+c.s.Name+".toml",
			"serve --watch /srv/drop/"+c.s.Name+" --minisign-key release.pub --window 'Mon-Fri 02:00 2h'"),
		Args: arguments(0),
	}
	v := c.serving(cmd)
	cmd.RunE = c.failures(nil, func(cmd *cobra.Command, _ []string) error {
		if err := v.configure(cmd.Flags()); err != nil {
			return c.misconfigured(err)
		}
		err := server.Run(cmd.Context(), v.s)
		if errors.Is(err, server.ErrInvalid) {
			return usage("%v", err)
		}
		return err
	})
	return cmd
}

// serving is what the flags of serve say, which are the keys of the configuration as well.
type serving struct {
	s       server.Service
	source  sourceFlags
	windows []string
	log     logFlags
	keys    []string // names of all the flags
}

// serving adds the flags of serve to cmd.
func (c cli) serving(cmd *cobra.Command) *serving {
	v := &serving{s: c.s}
	s, fl := &v.s, cmd.Flags()
	v.source.flags(cmd, c)
	fl.StringArrayVar(&s.Listen, "listen", defaultListen(*s), "`address` to listen on, host:port or unix:/path; http:// before it turns TLS off there (repeatable)")
	fl.StringVar(&s.StatusPath, "status-path", s.StatusPath, "`path` of the status page on public listeners, read only; operators have it at / of theirs (default none)")
	fl.StringVar(&s.OpsTokenFile, "ops-token-file", s.OpsTokenFile, "`file` with a token that lets operators push the buttons of the page there (default no buttons but on the admin socket)")
	fl.StringArrayVar(&s.AllowedHosts, "allowed-host", s.AllowedHosts, "`name` by which a browser may ask operators' listeners for the page, beside addresses and localhost (repeatable)")
	fl.StringArrayVar(&s.Ops, "ops-listen", s.Ops, "`address` to tell operators on, like --listen: /metrics, /livez and /readyz with reasons; https:// before it turns TLS on there (repeatable; default none)")
	connectionFlags(fl, s)
	v.log.flags(fl, *s)
	fl.DurationVar(&s.Interval, "interval", s.Interval, "time between two checks (default 6h for a feed, 5s for a path); negative: only when asked")
	fl.StringArrayVar(&v.windows, "window", asTexts(s.Windows), "`time` when updates are applied by themselves, as \"Mon-Fri 02:00 2h Europe/Berlin\" (repeatable; default at any time)")
	fl.BoolVar(&s.IgnorePackageManager, "ignore-package-manager", s.IgnorePackageManager, "update this executable even if a package manager owns it")
	fl.StringVar(&s.StateDir, "state-dir", s.StateDir, "state `directory`, on the file system of the executable (default .NAME.d beside it)")
	fl.DurationVar(&s.UpdateProbation, "probation", or(s.UpdateProbation, time.Minute), "how long a new version is watched before it replaces the old one for good")
	fl.DurationVar(&s.Probation, "hup-probation", or(s.Probation, 5*time.Second), "the same after a restart by HUP")
	fl.DurationVar(&s.DrainTimeout, "drain-timeout", or(s.DrainTimeout, time.Minute), "how long requests under way may take before an old version leaves; negative: for ever")
	fl.DurationVar(&s.StartTimeout, "start-timeout", or(s.StartTimeout, time.Minute), "how long a new version may take to become ready")
	fl.DurationVar(&s.HealthInterval, "health-interval", or(s.HealthInterval, time.Second), "time between two looks at a version on probation")
	fl.IntVar(&s.KeepVersions, "keep", or(s.KeepVersions, 4), "how many versions stay on disk to go back to, the installed one included; at least 2")
	fl.Int64Var(&s.KeepBytes, "keep-bytes", s.KeepBytes, "most bytes that they take beside the installed one; the previous version stays all the same (default no limit)")
	fl.BoolVar(&s.ReplaceFirst, "replace-first", s.ReplaceFirst, "replace the executable before the handover, and put it back on failure")
	fl.BoolVar(&s.FollowInstalled, "follow-installed", s.FollowInstalled, "restart with what others, such as a package manager, put at the path of the executable")
	if s.Flags != nil {
		own := flag.NewFlagSet("serve", flag.ContinueOnError)
		s.Flags(own)
		fl.AddGoFlagSet(own)
	}
	config.Flag(fl)
	fl.VisitAll(func(f *pflag.Flag) { v.keys = append(v.keys, f.Name) })
	return v
}

// configure reads environment and file, and puts everything into the service. It says all that is wrong, or as much as can be said.
func (v *serving) configure(fl *pflag.FlagSet) error {
	settings, err := config.Read(fl, config.Options{Program: v.s.Name, Ignore: v.s.Environment})
	if err != nil {
		return err
	}
	v.s.Settings = settings
	errs := []error{v.source.apply(&v.s), v.parseWindows(), v.log.apply(&v.s, os.Stderr)}
	if v.s.CheckFlags != nil {
		errs = append(errs, v.s.CheckFlags())
	}
	errs = append(errs, v.s.Validate())
	return errors.Join(errs...)
}

func asTexts(windows []updater.Window) (list []string) {
	for _, w := range windows {
		list = append(list, w.String())
	}
	return list
}

func (v *serving) parseWindows() error {
	v.s.Windows = nil
	for _, t := range v.windows {
		w, err := updater.ParseWindow(t)
		if err != nil {
			return usage("%s: %v", config.Named(v.s.Settings, "window"), err)
		}
		v.s.Windows = append(v.s.Windows, w)
	}
	return nil
}

func defaultListen(s server.Service) []string {
	if len(s.Listen)+len(s.Listeners) > 0 {
		return s.Listen
	}
	return []string{server.DefaultListen}
}

func or[T time.Duration | int](d, otherwise T) T {
	if d != 0 {
		return d
	}
	return otherwise
}
