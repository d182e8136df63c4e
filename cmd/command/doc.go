// Package command is the command line of a server that updates itself: serve, restart, drain, log-level, upgrade, check,
// status, rollback, hold, unhold, quarantine, history, config, doctor, healthcheck, verify and version, for any [server.Service], with completion for four shells.
//
//	func main() {
//		command.Main(server.Service{
//			Name:    "hello",
//			Version: version, // set by the linker
//			Source:  feed.New("https://example.com/hello", root),
//			Handler: mux,
//		})
//	}
//
// A program with a command line of its own adds the commands to it, and ends with the code that [ExitCode] returns:
//
//	root.AddCommand(command.New(service)...)
//
// # With and without a running server
//
// All but serve and version look for the running server of this executable: in the state directory
// beside it (--state-dir names another one) lies the path of its admin socket. If one runs, it does the work, and
// the command follows it to the verdict of the probation. If more than one runs, --instance says which. If
// none runs, upgrade and rollback replace the executable alone, and hold, unhold and quarantine write to the same state, all under the same lock. A
// command that follows an upgrade, a rollback or a restart gets the verdict even if the process that it has asked is killed meanwhile.
//
// # Configuration
//
// Every flag of serve, those of Service.Flags among them, may as well stand in a TOML file (--config, HELLO_CONFIG) or in a variable: package
// cmd/config has the rules. The other commands read there what they share with serve. HUP brings a changed file into force, by a handover; a
// bad one leaves the old process serving. "config check" says all that is wrong, "config show" where each value comes from.
//
// # Output
//
// Results go to standard output, everything else to standard error. --json prints one document with a schema
// number, which has the same shape on a terminal and in a pipe; a failure is a document with a field "error", a mistake in what was typed as
// well (by Main; New leaves that to its program). The last line
// of a failure says what serves now and what to type next. upgrade and rollback show their plan and ask
// on a terminal; elsewhere they need --yes. Colour is used on a terminal only, and not with NO_COLOR set.
//
// Progress is a bar on a terminal and a line for each phase elsewhere. With --progress=json standard output has a document on each line, as
// admin.Line has them: events, and the outcome or the error last.
//
// # Exit codes
//
//	0    done, or nothing to do
//	1    failed, nothing changed
//	2    usage; also: needs --yes, no terminal
//	3    stopped by policy
//	4    verification failed
//	5    no permission, read-only, or owned by a package manager
//	6    another upgrade is under way
//	7    undone on probation
//	8    replaced, but the running server was not restarted
//	75   temporary: network, rate limit, disk
//	100  check: an update is available
package command
