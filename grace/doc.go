// Package grace replaces a running server by a new version of itself without losing a request, and takes the
// old version back if the new one fails.
//
// # The drop-in
//
//	err := grace.ListenAndServe("localhost:8080", mux)
//
// is http.ListenAndServe, in a process that can be replaced: send it HUP (or USR2) and it starts the executable that
// stands at its install path now, hands it the listening socket, and stands by. The call returns nil when this
// process has been replaced and has answered its last request, or was stopped by TERM or INT.
//
// The surface of beego's grace module stands beside it, name for name: [Server] with TLS, mutual TLS, signal hooks and shutdown callbacks. A program
// that was written for it changes its import.
//
// # The handover
//
// A [Process] owns named listeners. [Process.Handover] goes through these steps:
//
//  1. The successor is started by fork-exec and inherits the sockets and one end of a private socketpair.
//     The predecessor goes on accepting.
//  2. The successor claims its listeners by network, requested address and name ([Process.Open]), begins to serve,
//     and calls [Process.Ready].
//  3. The predecessor parks: it stops accepting but closes nothing. It stands by while the successor serves on probation,
//     and watches it: the exit flags of the process every 2 ms, the socketpair, and a request through each real
//     socket once in every health interval.
//  4. In the second half of probation its connections move over: an idle HTTP/1 connection without TLS is sent to the
//     successor as a descriptor, a busy one when it is idle again, and the client notices nothing. What cannot move is told to go: the
//     next answer says Connection: close (HTTP/1 over TLS), or a GOAWAY is sent (HTTP/2).
//  5. When probation is over and the last round of health was good, it runs the commit, sends COMMIT, and drains. A
//     connection that stays silent until the drain deadline is closed then.
//
// A successor that exits, hangs or falls ill before COMMIT is killed, and the predecessor accepts again at once: its
// sockets never closed, so clients waited in the kernel's queue. Only what the successor had accepted, or was given, is lost. If
// the predecessor dies instead, the successor ends its probation by itself (Options.Orphaned). If the
// successor dies after COMMIT while the predecessor still drains, that one serves again and starts the install path anew.
//
// While it drains, the next upgrade may begin. The youngest generation knows those that still drain, their age and what they have left
// ([Process.Older]); when there are more than Options.MaxDraining, the oldest closes what it has left and goes. Connections that a handler has
// hijacked (WebSockets) neither move nor end by themselves: Options.OnDrain is called for each, and they have until the drain deadline.
//
// Package gracetest runs a handler of yours through all this, inside go test.
//
// # Guarantees
//
//   - No request is lost by a handover, and no connection that speaks HTTP/1 without TLS is closed. Over TLS, an idle connection must
//     speak once before the drain deadline.
//   - A failed handover leaves this process serving, and says why ([HandoverError]): the cause, and the last words
//     of the successor.
//   - One handover at a time: others get a [BusyError] that names the state. One HUP is kept and runs after the commit.
//   - Descriptors, environment and zombies do not pile up.
//   - TLS sessions resume after an upgrade: the keys of session tickets go over the private socketpair, never by environment or
//     argv, and change every 24 hours; old ones are accepted for 7 days.
//
// # Sockets and files
//
// [Process.Open] finds an inherited socket by network, requested address and name: ":0" keeps its number.
// A listener that a version adds is bound. One that it drops, or moves to another address, is served by the predecessor until COMMIT
// and refuses from then on, with a warning.
// The file of a Unix socket goes with the last process, unless somebody else has taken the path.
// [Process.File] passes other open files on.
// Under socket activation (LISTEN_FDS) Open takes the socket that the unit gives this name (FileDescriptorName=), else the one that
// is bound to this address. It stays the service manager's: its path is not removed, and it is not closed when a version drops it.
// A listening socket that the program opens elsewhere is no successor's: a warning at readiness names it (on Linux).
//
// A successor gets our arguments, argv[0] among them, our environment, and descriptors 0 to 2, or /dev/null for one that was closed.
// Processes that the program starts get none of our descriptors.
//
// # State of the application
//
// A [Blob] carries a value to the next generation, as a hint: at the start of the successor, again when the predecessor stops
// accepting, and a last time when it has drained. What a version cannot read it declines, and the handover goes on.
//
// # What only one process may do
//
// A cron, a queue consumer: begin it when [Process.Active] is closed, pause it in Options.OnStandby, and take it up again in
// Options.OnResume, which is called when this process serves again after all. Active is closed only after OnStandby of the
// predecessor has returned. A version that migrates something calls [Process.NoWayBack] first: from then on no predecessor serves
// again, and if the new version dies it is started again instead.
//
// Where the two cannot even be open at the same time, as with a file that is locked, Options.Exclusive puts them one after the other:
// the predecessor ends its requests and lets go before New returns in the successor, and clients wait in the kernel's queue. Idle HTTP/1
// connections without TLS are not read meanwhile, and move when the successor is ready. A request that reaches the predecessor in spite of that (over
// TLS or HTTP/2, or because its header came slowly) waits until the commit, and gets status 503 then.
//
// # What it does not do
//
// It knows nothing of releases, signatures or the executable on disk (package updater does). A connection inside TLS cannot move: its
// keys and counters are in this process. On macOS and BSD the exit flags are not there to
// read, so a crash is noticed by the end of the socketpair. On Windows a Process serves, but Handover returns
// errors.ErrUnsupported.
//
// A program has one Process, since it owns the signals: TERM and INT drain and stop, a second one more than a second later stops at
// once; HUP and USR2 hand over to what stands at the install path. A signal that was ignored at the start stays ignored.
//
// # Supervisors that follow one pid
//
// Where the end of the first process is the end of everything (a container's PID 1, below tini or runsv), that process
// stays as a small parent of all generations ([StayParent]): by itself in the usual cases, else by Options.StayParent.
// Signals to it reach the generation that serves, and it exits with the status of the last one. If it is killed the
// generations serve on, and a new start is told who holds its address ([InUseError]).
//
// # A unit file
//
// Generation 1 says READY=1 when it is ready, and each predecessor moves MAINPID at COMMIT. A HUP is a reload (RELOADING=1 until
// the handover has ended, committed or undone), a start or drain that takes long asks for the time it needs, WatchdogSec is served by the
// process that the manager follows while its Health says well, and STATUS says who serves:
//
//	[Service]
//	Type=notify
//	NotifyAccess=all
//	ExecStart=/opt/hello/hello
//	ExecReload=kill -HUP $MAINPID
//	ExecStop=/bin/sh -c 'kill -TERM $$MAINPID && exec tail --pid=$$MAINPID --sleep-interval=0.1 -f /dev/null'
//	Restart=on-failure
//	KillMode=mixed
//	OOMPolicy=continue
//	WatchdogSec=30
//	TimeoutStopSec=90
//
// ExecStop matters: after a handover systemd is not the parent of the main process, does not wait for it at a stop, and would send KILL
// right after TERM. docs/howto/systemd.md has the reasons of each line, and a hardened unit.
//
// A socket unit of the same name keeps clients waiting, instead of refused, while the service is stopped:
//
//	[Socket]
//	ListenStream=8080
//	FileDescriptorName=web
//
// For supervisors that read a pid file there is Options.PIDFile.
package grace
