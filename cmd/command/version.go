package command

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server/admin"
)

// versionDocument is what version --json prints.
type versionDocument struct {
	Schema    int    `json:"schema"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	Module    string `json:"module,omitempty"`
	Platform  string `json:"platform"`
	Go        string `json:"go"`
	Protocols []int  `json:"protocols"` // of the handover
}

func (c cli) version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this executable",
		Long: `Show the version of this executable, its platform and the Go release that built it. A running server may be another one, until it is restarted:
"status" shows that.`,
		Example: c.examples("version", "version --json"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		d := versionDocument{Schema: admin.Schema, Name: c.s.Name, Version: c.s.Version,
			Platform: release.Host().String(), Go: runtime.Version(), Protocols: role.Protocols}
		if bi, ok := debug.ReadBuildInfo(); ok {
			d.Module = bi.Main.Path
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), d)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s (%s, %s)\n", d.Name, d.Version, d.Platform, d.Go)
		return err
	})
	return cmd
}
