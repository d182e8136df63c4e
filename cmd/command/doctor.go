package command

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/server/doctor"
	"github.com/moult-go/moult/updater"
)

func (c cli) doctor() *cobra.Command {
	var (
		w      where
		asJSON bool
		strict bool
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what would break an upgrade, before one does",
		Long: `Look at the executable and its directories, at the running server, its unit and its limits, at the clock, and at what stands in the way of updates.
Each finding says why it matters and what mends it. Nothing is changed. Without a running server, the executable and the unit of its name are looked at.

The exit code is 0 if no finding is an error (with --strict: if none is a warning either), else 1.`,
		Example: c.examples("doctor", "doctor --strict --json"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().BoolVar(&strict, "strict", false, "a warning is a failure")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		o, err := c.subject(cmd, &w)
		if err != nil {
			return err
		}
		r := doctor.Examine(cmd.Context(), o)
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), r)
		} else {
			err = printReport(cmd.OutOrStdout(), r)
		}
		if err != nil {
			return err
		}
		return c.diagnosis(r, strict)
	})
	return cmd
}

// subject is what is to be looked at: the running server, or else the executable and what an updater says of it.
func (c cli) subject(cmd *cobra.Command, w *where) (doctor.Options, error) {
	o := doctor.Options{App: c.s.Name, Version: c.s.Version, Built: built(), StateDir: w.stateDir, Updates: c.s.Source != nil, Disabled: c.s.Disabled,
		DrainTimeout: c.s.DrainTimeout, StartTimeout: c.s.StartTimeout, HealthInterval: c.s.HealthInterval, KeepVersions: c.s.KeepVersions}
	var err error
	if o.InstallPath, err = executable(); err != nil {
		return o, err
	}
	in, err := w.locate()
	if errors.Is(err, errNotRunning) {
		o.Ask = func() (updater.Status, error) { return c.asUpdater(o.StateDir) }
		return o, nil
	}
	if err != nil {
		return o, err
	}
	st, err := client.New(in.Admin).Status(cmd.Context())
	if err != nil {
		return o, err
	}
	o.Status = &st
	if u := st.Updater; u != nil {
		o.InstallPath, o.StateDir = u.InstallPath, u.StateDir
		o.Updates, o.Disabled = u.Source != "", u.Disabled
	}
	heed(&o, st.Settings)
	dir := o.StateDir
	if dir == "" {
		dir = admin.StateDir(o.InstallPath)
	}
	o.Instances, err = admin.Instances(dir)
	return o, err
}

// heed takes what the running server was configured with.
func heed(o *doctor.Options, settings []admin.Setting) {
	spans := map[string]*time.Duration{"drain-timeout": &o.DrainTimeout, "start-timeout": &o.StartTimeout, "health-interval": &o.HealthInterval}
	for _, s := range settings {
		if into, ok := spans[s.Name]; ok {
			if d, err := time.ParseDuration(s.Value); err == nil {
				*into = d
			}
		}
		if n, err := strconv.Atoi(s.Value); err == nil && s.Name == "keep" {
			o.KeepVersions = n
		}
	}
}

// asUpdater asks an updater in this process, which looks with this user's rights.
func (c cli) asUpdater(stateDir string) (updater.Status, error) {
	s := c.s
	s.StateDir = stateDir
	a, err := newAlone(s, false)
	var e *updater.Error
	if errors.As(err, &e) && (e.Reason == "disabled" || e.Reason == "package-owned") {
		return updater.Status{Running: s.Version, Disabled: e.Error()}, nil
	}
	if err != nil {
		return updater.Status{}, err
	}
	return a.u.Status()
}

// built is when this executable's source was committed; zero if it does not say.
func built() time.Time {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range bi.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}

func printReport(w io.Writer, r doctor.Report) error {
	mark := map[doctor.Severity]string{doctor.OK: "ok     ", doctor.Warning: "warning", doctor.Error: "ERROR  "}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s  %-16s  %s\n", mark[f.Severity], f.Check, plain(f.Found))
		if f.Why != "" {
			fmt.Fprintf(w, "%27swhy:  %s\n", "", plain(f.Why))
		}
		if f.Mend != "" {
			fmt.Fprintf(w, "%27smend: %s\n", "", plain(f.Mend))
		}
	}
	_, err := fmt.Fprintf(w, "%d checks: %d errors, %d warnings\n", len(r.Findings), r.Count(doctor.Error), r.Count(doctor.Warning))
	return err
}

// diagnosis is the exit code, and its words.
func (c cli) diagnosis(r doctor.Report, strict bool) error {
	bad, doubtful := r.Count(doctor.Error), r.Count(doctor.Warning)
	f := &admin.Failure{Class: updater.Failed, Reason: "not-well", Hint: fmt.Sprintf("do what is said at each of them, then: %s doctor", c.s.Name)}
	switch {
	case bad > 0:
		f.Message = fmt.Sprintf("an upgrade would fail, or take the service down: errors: %d", bad)
	case strict && doubtful > 0:
		f.Message = fmt.Sprintf("warnings: %d", doubtful)
	default:
		return nil
	}
	return &shownError{f}
}
