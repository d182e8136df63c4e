package command

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

func (c cli) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration, or show where each value comes from",
		Long: fmt.Sprintf(`Check the configuration of serve, or show it. Every flag of serve may as well stand in a TOML file, which --config or %s
names, or in a variable: "%[2]s help configuration" has the rules.`, config.Variable(c.s.Name, "config"), c.s.Name),
		Example: c.examples("config check /etc/"+c.s.Name+".toml", "config show --running"),
		RunE:    c.failures(nil, subcommands),
	}
	cmd.AddCommand(c.configCheck(), c.configShow())
	return cmd
}

// checkDocument is what config check --json prints.
type checkDocument struct {
	Schema   int              `json:"schema"`
	Good     bool             `json:"good"`
	Problems []config.Problem `json:"problems"`
}

// settingsDocument is what config show --json prints.
type settingsDocument struct {
	Schema   int             `json:"schema"`
	Settings []admin.Setting `json:"settings"`
}

func (c cli) configCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE] [flags of serve]",
		Short: "Say all that is wrong with the configuration",
		Long: `Read flags, environment and file as serve would, and say all that is wrong with them: keys that do not exist, values of the wrong type, and what
does not go together. It opens no socket, starts nothing and changes nothing. Run it before a restart, and in the unit's ExecStartPre: it takes
every flag of serve.`,
		Example:           c.examples("config check /etc/"+c.s.Name+".toml", "config check --listen localhost:8080 --drain-timeout 2m --json"),
		Args:              arguments(1),
		ValidArgsFunction: tomlFiles,
	}
	v := c.servingHidden(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.failures(&asJSON, func(cmd *cobra.Command, args []string) error {
		err := v.configureFrom(cmd.Flags(), args)
		problems := problemsOf(err)
		out := cmd.OutOrStdout()
		if asJSON {
			if err := printJSON(out, checkDocument{admin.Schema, err == nil, problems}); err != nil {
				return err
			}
		}
		switch {
		case err == nil && asJSON:
			return nil
		case err == nil:
			_, err = fmt.Fprintf(out, "%s: the configuration is good\n", c.s.Name)
			return err
		case asJSON:
			return &shownError{c.misconfigured(err)}
		}
		return c.misconfigured(err)
	})
	return cmd
}

func (c cli) configShow() *cobra.Command {
	var (
		asJSON, running bool
		w               where
	)
	cmd := &cobra.Command{
		Use:   "show [FILE] [flags of serve]",
		Short: "Show every setting, and where its value comes from",
		Long: `Show the settings that serve would have with this file, these flags and this environment, and where each value comes from: a flag, a
variable, a line of the file, or the default. With --running it is the server's own answer: its environment and flags are not those of your shell.`,
		Example:           c.examples("config show /etc/"+c.s.Name+".toml", "config show --running --json"),
		Args:              arguments(1),
		ValidArgsFunction: tomlFiles,
	}
	v := c.servingHidden(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().BoolVar(&running, "running", false, "of the running server")
	cmd.Flags().StringVar(&w.instance, "instance", "", "`ID` of the running server, if there are several")
	cmd.RunE = c.failures(&asJSON, func(cmd *cobra.Command, args []string) error {
		err := v.configureFrom(cmd.Flags(), args)
		list := v.s.Settings
		if running {
			w.stateDir = v.s.StateDir
			list, err = w.settings(cmd, c)
		}
		if err != nil && !running {
			err = c.misconfigured(err)
		}
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), settingsDocument{admin.Schema, list})
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, s := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, plain(s.Value), plain(s.Origin))
		}
		return t.Flush()
	})
	return cmd
}

// settings asks the running server.
func (w *where) settings(cmd *cobra.Command, c cli) ([]admin.Setting, error) {
	in, err := w.locate()
	if errors.Is(err, errNotRunning) {
		return nil, &admin.Failure{Class: updater.Failed, Reason: "not-running", Message: err.Error(),
			Hint: fmt.Sprintf("without --running it shows what would be in effect: %s config show FILE", c.s.Name)}
	}
	if err != nil {
		return nil, err
	}
	st, err := client.New(in.Admin).Status(cmd.Context())
	return st.Settings, err
}

// servingHidden adds the flags of serve to a command that has better things to list.
func (c cli) servingHidden(cmd *cobra.Command) *serving {
	v := c.serving(cmd)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = f.Name != config.FileFlag })
	return v
}

// configureFrom reads the file that an argument names in the place of --config.
func (v *serving) configureFrom(fl *pflag.FlagSet, args []string) error {
	if len(args) > 0 {
		if err := fl.Set(config.FileFlag, args[0]); err != nil {
			return err
		}
	}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, name := range v.keys {
		own.AddFlag(fl.Lookup(name))
	}
	return v.configure(own)
}

// problemsOf lists what is wrong.
func problemsOf(err error) []config.Problem {
	var read *config.Error
	if errors.As(err, &read) {
		return read.Problems
	}
	list := []config.Problem{}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			list = append(list, config.Problem{Message: one.Error()})
		}
	}
	return list
}

// misconfigured is the failure of a command that cannot be configured so.
func (c cli) misconfigured(err error) error {
	f := &admin.Failure{Class: updater.Usage, Reason: "configuration", Message: err.Error()}
	if errors.As(err, new(*config.Error)) {
		f.Hint = fmt.Sprintf("to see the rules: %s help configuration", c.s.Name)
	} else {
		f.Hint = fmt.Sprintf("to see what it takes: %s serve --help", c.s.Name)
	}
	return f
}

// configured lets a command that is not serve have from environment and file what it shares with it, as --state-dir. What the
// command does not use may be as wrong as it likes.
func (c cli) configured(run runFunc) runFunc {
	return func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Lookup(config.FileFlag) == nil {
			return run(cmd, args)
		}
		shared := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
		for _, name := range c.serving(&cobra.Command{}).keys {
			if f := cmd.Flags().Lookup(name); f != nil {
				shared.AddFlag(f)
			}
		}
		if _, err := config.Read(shared, config.Options{Program: c.s.Name, Partial: true}); err != nil {
			return c.misconfigured(err)
		}
		return run(cmd, args)
	}
}
