package command

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server/admin"
)

// arguments accepts at most n of them.
func arguments(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("unexpected argument %q", args[n])
		}
		return nil
	}
}

// subcommands is what a command does that has some and was given none of them.
func subcommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, one := range cmd.Commands() {
		names = append(names, one.Name())
	}
	return usage("unknown command %q for %q%s", args[0], cmd.CommandPath(), config.DidYouMean(args[0], names))
}

// mistyped says what is wrong with a flag, and what was meant or is wanted.
func mistyped(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		near := config.Nearest(unknown.GetSpecifiedName(), names)
		if len(near) > 0 {
			return usage("%v; did you mean --%s?", err, strings.Join(near, " or --"))
		}
	case errors.As(err, &value) && config.Wanted(value.GetFlag().Value) != "":
		return usage("--%s %q: want %s", value.GetFlag().Name, value.GetValue(), config.Wanted(value.GetFlag().Value))
	}
	return usage("%v", err)
}

// seeHelp makes the hint of a mistake in what was typed name the command that it was typed for.
func seeHelp(cmd *cobra.Command, err error) error {
	var f *admin.Failure
	if errors.As(err, &f) && f.Reason == "usage" && f.Hint == "" {
		f.Hint = "to see what it takes: " + cmd.CommandPath() + " --help"
	}
	return err
}

// explained gives cmd and those below it our words for what is mistyped.
func explained(cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return seeHelp(cmd, mistyped(cmd, err)) })
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return seeHelp(cmd, check(cmd, args)) }
	}
	for _, one := range cmd.Commands() {
		explained(one)
	}
}
