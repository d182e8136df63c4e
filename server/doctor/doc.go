// Package doctor finds what would break an upgrade before an upgrade does. It looks at the executable and its directories, at the server that
// runs, at the unit of the service manager, at the control group and its limits, at the clock and at what the updater knows; it changes nothing.
//
//	report := doctor.Examine(ctx, doctor.Options{App: "hello", InstallPath: "/opt/hello/hello", Status: status})
//	for _, f := range report.Findings {
//		fmt.Println(f.Severity, f.Check, f.Found, f.Mend)
//	}
//
// A finding says what was found, why it matters and what mends it. An error is what an upgrade would fail at, or what would take the service down
// with it; a warning is what will do so one day, or under load, or makes the way back worse. What cannot be looked at (no permission, another
// system) is a warning of its own, "not-seen", and what does not apply is left out.
//
// # Where the facts come from
//
// With a running server, Options.Status is what it says of itself over its admin socket. So whether the executable can be replaced is the server's own
// answer, with its user, in its mount namespace and under its hardening: the same look that an update begins with. Its process is looked at in
// procfs, its unit is found by its control group. Without one, the caller passes what an updater of its own says, and the unit that is called like the
// program is looked at, as far as its hardening can be judged from outside.
//
// The checks are functions of these facts alone, so each is tested against facts that are made up, and the facts are tested against what is real.
//
// # Elsewhere
//
// Units, control groups, procfs and the kernel's clock are Linux's. On other systems the checks of the disk, of the version and of the
// updater's state are made.
package doctor
