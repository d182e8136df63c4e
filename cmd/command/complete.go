package command

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// completionPatience is how long somebody who has pressed the tab key waits for a server.
const completionPatience = time.Second

// completed lets the shell complete the arguments and flags of cmd and those below it. What has no entry here is a file in a
// flag, and nothing as an argument.
func (c cli) completed(cmd *cobra.Command) {
	for _, one := range cmd.Commands() {
		c.completed(one)
	}
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if complete := c.flagCompletion(f); complete != nil {
			cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only where it is registered already
		}
	})
}

func (c cli) flagCompletion(f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case config.FileFlag:
		return tomlFiles
	case "state-dir":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case "instance":
		return c.instances
	case "progress":
		return oneOf(progressAuto, progressPlain, progressJSON, progressNone)
	case "channel":
		return oneOf("stable", "beta")
	case "log-level":
		return oneOf("debug", "info", "warn", "error")
	case "log-format":
		return oneOf("text", "json")
	}
	switch f.Value.Type() {
	case "duration", "int", "int64":
		return cobra.NoFileCompletions
	}
	return nil
}

func oneOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

func tomlFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}

// asked is where the flags that are typed already lead, and those that are configured.
func (c cli) asked(cmd *cobra.Command) (w where) {
	c.configured(func(*cobra.Command, []string) error { return nil })(cmd, nil)
	for name, value := range map[string]*string{"state-dir": &w.stateDir, "instance": &w.instance} {
		if f := cmd.Flags().Lookup(name); f != nil {
			*value = f.Value.String()
		}
	}
	return w
}

func (c cli) instances(cmd *cobra.Command, _ []string, _ string) (list []string, _ cobra.ShellCompDirective) {
	w := c.asked(cmd)
	running, _ := w.running()
	for _, in := range running {
		list = append(list, cobra.CompletionWithDesc(in.ID, in.Version))
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// kept are the versions that rollback can go to.
func kept(st updater.Status) (list []string) {
	for _, k := range st.Kept {
		list = append(list, cobra.CompletionWithDesc(k.Version, k.Digest.Short()))
	}
	return list
}

// quarantined are the builds that quarantine clear can let go.
func quarantined(st updater.Status) (list []string) {
	for _, q := range st.Quarantine {
		list = append(list, cobra.CompletionWithDesc(q.Version, plain(q.Reason)), cobra.CompletionWithDesc(q.Digest.Short(), q.Version))
	}
	return list
}

// stateful completes the one argument of a command from what the server knows, or the disk if none runs.
func (c cli) stateful(words func(updater.Status) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		st := c.updaterStatus(cmd)
		return slices.Compact(words(st)), cobra.ShellCompDirectiveNoFileComp
	}
}

// updaterStatus is zero if it cannot be had soon: a completion has no place for an error.
func (c cli) updaterStatus(cmd *cobra.Command) (st updater.Status) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	w := c.asked(cmd)
	in, err := w.locate()
	if err == nil {
		return statusOf(ctx, in)
	}
	s := c.s
	s.StateDir = w.stateDir
	if a, err := newAlone(s, false); err == nil {
		st, _ = a.u.Status()
	}
	return st
}

func statusOf(ctx context.Context, in admin.Instance) updater.Status {
	st, err := client.New(in.Admin).Status(ctx)
	if err != nil || st.Updater == nil {
		return updater.Status{}
	}
	return *st.Updater
}
