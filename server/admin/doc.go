// Package admin is what an operator's command line says to a running server: JSON over HTTP on a Unix
// socket, the documents that travel there, and the directory where a server can be found.
//
//	GET  /v1/status    one [Status]
//	GET  /v1/events    a stream of [Event]s, see [EventStream]
//	POST /v1/check     a [Request] → one [Check]
//	POST /v1/upgrade   a [Request] → lines of [Line]: events, then one result or error
//	POST /v1/rollback  the same
//	POST /v1/restart   nothing → the same lines
//	POST /v1/drain     a [Drain] → one [Drained]
//	POST /v1/hold      an updater.Hold → one [Held]
//	POST /v1/unhold    nothing → one [Held]
//	GET  /v1/quarantine        one [Quarantine]
//	POST /v1/quarantine/clear  a [Clear] → one [Quarantine]: what was cleared
//	GET  /v1/history   one [History]
//	GET  /v1/health    one [Health]
//	POST /v1/health    a [Vote] → one [Health]
//	GET  /v1/log-level one [LogLevel]
//	PUT  /v1/log-level a [SetLogLevel] → one [LogLevel]
//	GET  /v1/livez     200 as long as the process answers
//	GET  /v1/readyz    200 when it serves, 503 while it drains
//
// Trust is the file system's: the socket has mode 0600 in a directory of mode 0700, so that only the
// server's own user and root get through. [Guard] asks the kernel for the same, where it tells (Linux, macOS, FreeBSD): a socket that
// a mount has made reachable for others answers them 403, and so does a handler on any other kind of listener. Who asked for an
// upgrade or a rollback is written into the history, and whoever changes something into the log.
//
// # Where a server is found
//
// Each running server (one line of processes, over all its generations) has an ID and a directory
// instances/ID in the state directory beside its executable, with instance.json in it: see [Instance]. Where that
// directory cannot be written, or a socket's path would be too long for the kernel, a private directory below
// os.TempDir stands in; its name follows from the state directory's, so it is found all the same.
//
// # An upgrade, seen from outside
//
// The connection of the one who asked stays with the process that was asked. It follows the attempt through the
// handover and the probation, and gets its last line from the predecessor, which drains only afterwards.
// One attempt runs at a time: whoever comes meanwhile is told "busy" and the phase, at once. A client that
// goes away does not stop the attempt.
package admin
