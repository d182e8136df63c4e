package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server"
)

// topics are what help explains beside the commands.
func (c cli) topics() []*cobra.Command {
	return []*cobra.Command{exitCodesTopic(), c.environmentTopic(), c.configurationTopic()}
}

func (c cli) environmentTopic() *cobra.Command {
	return &cobra.Command{Use: "environment", Short: "Which variables count", Long: fmt.Sprintf(`Variables that count:

  %[2]s
      TOML file with the configuration of serve, as --config. The other commands read --state-dir and where releases come from there as well.
  %[3]s, …
      any flag of serve: its name in capitals, with _ for what is neither letter nor digit. See "%[1]s help configuration".
  NO_COLOR
      set to anything: no colour. TERM=dumb: neither colour nor a bar.
  SUDO_USER
      who holds updates, where "hold" is run by sudo.
  TMPDIR
      where the admin socket lies if the state directory is not writable, or its path too long.
  RUNTIME_DIRECTORY
      where the admin socket lies, set by systemd for RuntimeDirectory=.
  NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES
      the service manager's, as sd_notify(3) and sd_listen_fds(3) have them.

A successor gets the environment of the process that it replaces. A variable that was changed elsewhere counts when the service manager
starts it anew.`,
		c.s.Name, config.Variable(c.s.Name, config.FileFlag), config.Variable(c.s.Name, "drain-timeout"))}
}

func (c cli) configurationTopic() *cobra.Command {
	return &cobra.Command{Use: "configuration", Short: "How flags, variables and the file go together", Long: fmt.Sprintf(`Every flag of serve may as well stand in a variable or in a TOML file. A flag that was typed goes before the variable, that
before the file, and that before the default. A list is replaced as a whole.

  --drain-timeout 30s         drain-timeout = "30s"         %[2]s=30s
  --listen :80 --listen :81   listen = [":80", ":81"]       %[3]s='[":80", ":81"]'
  --replace-first             replace-first = true          %[4]s=true

The file is named by --config or %[5]s; there is none by default. A dot in the name of a flag is a table. A variable that is
empty counts as not set. What no flag knows, or has the wrong type, is an error, with the line and what is wanted. Variables that a service
of the name %[1]s gets in Kubernetes (%[6]s and the like) are left alone.

A whole file:

  listen = ["%[7]s"]
  drain-timeout = "2m"
  feed = "https://example.com/%[1]s"
  root = "/etc/%[1]s/root.json"
  window = ["Mon-Fri 02:00 2h Europe/Berlin"]

No secret is ever a value: a flag names the file that holds it. What gives access in a URL is hidden wherever settings are shown.

To change it while the server runs: edit the file, "%[1]s config check FILE", then HUP. The successor reads all of it again; if it is wrong,
the old process serves on with what it had, and "%[1]s status" says why.`,
		c.s.Name, config.Variable(c.s.Name, "drain-timeout"), config.Variable(c.s.Name, "listen"), config.Variable(c.s.Name, "replace-first"),
		config.Variable(c.s.Name, config.FileFlag), config.Variable(c.s.Name, "service-host"), server.DefaultListen)}
}

// examples are lines to type, with the program's name before each.
func (c cli) examples(lines ...string) (text string) {
	for i, line := range lines {
		if i > 0 {
			text += "\n"
		}
		text += "  " + c.s.Name + " " + line
	}
	return text
}
