// Package updater brings newer releases of a program to the place where it is installed, and takes them
// back if they fail. It knows nothing of sockets: whatever can start an executable and judge it
// ([Handover]; grace.Process does) is asked to.
//
// The flow, one file a step:
//
//		check → fetch → verify → stage → prove → hand over → commit | roll back
//
//	  - check: a [Source] names candidates; policy chooses one or stops for a named reason;
//	  - fetch, verify: into a private directory, no more than the signed length, against the signed SHA-256; what was broken off is gone on
//	    with, also by the next process;
//	  - stage: a short-lived child of our own executable decodes the payload, verifies again (minisign too, where there is a
//	    signature) and writes the file that will be executed, with owner, mode and attributes of the installed one;
//	  - prove: header, build information, then the candidate's own report, run in a clean environment;
//	  - hand over: it is started from its staged name and serves on probation;
//	  - commit: the previous version gets a second name to come back to, and the staged name is renamed over
//	    the install path.
//
// # What holds
//
// The install path names a whole executable in every instant, through kill -9 and power cut: the last committed
// version, or the one whose rename had begun. It is the only truth; the journal (state.json) says how far an attempt
// came, each phase durable before the act that follows, and [Updater.Lock] recovers each phase. A build that crashes or
// falls ill on probation is put into quarantine by its digest and not tried again; one that only fails to start waits
// longer each time, and follows at the third time. Nothing below the highest version ever committed is taken from a
// source; [Updater.Rollback] takes a version that is kept here.
//
// A build that serves as a successor and dies whenever it is started cold is caught by [ColdStart], the first call of a server: it counts such
// starts until one of them went well ([Updater.StartedWell]), and after three that died puts the previous version back and executes it.
//
// At every start the installed executable gets a second name in the state directory. So the version that runs
// can be restored even when somebody else (a package manager, an administrator) has replaced the file and a restart with
// it (HUP) failed: then [Updater.RestartFailed] lets the status say so, and Rollback puts that copy back.
//
// Of several processes of one executable the one that holds the lock updates. [Updater.Replaced] tells the others when to hand over to what it has
// committed, or to what a package manager has put there; they change nothing on the disk.
//
// A candidate may come as a delta from the executable that is installed, which counts by its digest. Whatever goes wrong with a delta, the
// full payload is taken in the same attempt. Formats are registered with package release; package updater/feed brings those of a feed.
//
// # What it refuses
//
// Wrongly signed payloads, for everybody and by whatever flag; unsigned ones too, but for a source that was made to go by checksums alone. A
// state directory that others may write: it is opened once, and what lies in it is reached through that descriptor. An installed file whose
// owner or capabilities the new one could not be given: the update would take rights away. One that cannot be replaced at all (read-only,
// immutable, noexec). Both before anything is fetched. To run setuid.
//
// # The disk
//
// Beside the executable /opt/hello/hello lies its state directory, mode 0700:
//
//	.hello.d/versions/1.2.0-0123456789ab/hello   staged and kept versions
//	.hello.d/state.json                          journal, floor, hold, quarantine
//	.hello.d/history.jsonl                       one line for each attempt that ended
//	.hello.d/lock                                held by the one process that may change any of this
//	.hello.d/feed/                               trusted metadata
//	.hello.d/download/                           a download under way, or one that broke off within the last week
//	.hello.d/instances/                          of package server
//
// A unit file for a service that updates itself gives it a directory of its own:
//
//	[Service]
//	Type=notify
//	User=hello
//	ExecStart=/opt/hello/hello serve
//	ReadWritePaths=/opt/hello
//	KillMode=mixed
//
// [New] comes first in a program, before it opens anything: in the stage and proof roles (package
// grace/role) it does the job and exits.
package updater
