package command

import "github.com/spf13/cobra"

// groups is the order in which help lists the commands.
var groups = []struct {
	title string
	names []string
}{
	{"Serve:", []string{"serve", "restart", "drain", "status", "config", "log-level"}},
	{"Update:", []string{"check", "upgrade", "rollback", "hold", "unhold", "history", "quarantine", "verify"}},
	{"Besides:", []string{"doctor", "healthcheck", "version", "completion", "help"}},
}

// group adds the commands to root in their groups. Another root, which does not have them, could not run a command that is in one.
func group(root *cobra.Command, list []*cobra.Command) {
	of := map[string]string{}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, name := range g.names {
			of[name] = g.title
		}
	}
	root.SetCompletionCommandGroupID(of["completion"])
	root.SetHelpCommandGroupID(of["help"])
	for _, cmd := range list {
		if cmd.Runnable() { // and no topic
			cmd.GroupID = of[cmd.Name()]
		}
		root.AddCommand(cmd)
	}
}
