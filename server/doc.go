// Package server runs an HTTP service that replaces its own executable by newer releases without losing a
// request: it puts package grace (sockets, handover) and package updater (releases, the disk) together, and adds
// what an operator looks at.
//
//	err := server.Run(ctx, server.Service{
//		Name:    "hello",
//		Version: version, // set by the linker
//		Source:  feed.New("https://example.com/hello", root),
//		Handler: mux,
//	})
//
// Package cmd/command wraps the same Service in a command line: serve, upgrade, status, rollback.
//
// # The life of a process
//
// Run opens the listeners (inherited ones if a predecessor started this process), serves, and declares itself ready.
// Once no predecessor can come back, it takes the update lock and checks for releases until it is replaced or
// stopped: then it drains and Run returns nil. HUP and USR2 start whatever stands at the install path; TERM and INT drain
// and stop, a second one stops at once. A Source that is missing, or a directory that cannot be written, turns
// updating off and never keeps the service from serving; status and log say so.
//
// # What every server answers
//
// On its public listeners, /livez (200 while the process answers) and /readyz (200 while it serves and its Health and
// all its Checks are good, 503 while it drains). With ?verbose each has a line for people, "[+]database ok", but no stranger is told
// why one failed; ?exclude=database leaves one out, and may be repeated. They shadow the Handler's own. On a private Unix socket, the
// same with reasons, metrics for Prometheus at /metrics, profiles below /debug/pprof/, and the API of package admin. Listeners
// of Service.Ops have all that only tells: /metrics, /livez and /readyz. The metrics are named by the program (hello_generation); their
// counters survive a handover. docs/reference/metrics.md explains each.
//
// At / of the admin socket and of Ops, and for everybody below StatusPath if that is set, the status page of package page.
//
// # Listeners
//
// HTTP/1.1, HTTP/2 and h2c, TLS with certificates that are read again when their files change, client certificates, Unix sockets, several
// addresses, and protocols of the program's own ([Listener.Serve]): all on one Service, and all go through a handover. [Limits] says what clients
// may take, and why what is not limited is not. Whatever does not end by itself, such as a WebSocket, asks [Draining] when to go.
//
// # What it refuses
//
// On Windows there is no handover: updates replace the file, and the next start runs it.
//
// # systemd
//
//	[Service]
//	ExecStart=/opt/hello/hello serve
//	KillMode=mixed
//	OOMPolicy=continue
//	RuntimeDirectory=hello
//	RuntimeDirectoryMode=0700
package server
