// Moult is the publisher's tool: it sets up a signed feed of releases as static files, publishes and promotes versions, keeps the
// signatures fresh, verifies a feed as a server would, and signs lone files with minisign.
//
//	moult init feed --app hello               # keys and an empty feed; says what to embed and what to take offline
//	moult publish feed dist                    # goreleaser's, a directory or files; checks them first
//	moult promote feed 1.4.0                   # from beta to stable
//	moult rollout feed 1.4.0 --curve linear:48h
//	moult halt feed 1.4.0 --reason 'crashes'   # with the online key alone; resume, yank
//	moult verify feed --root root.json         # the real client, with an empty cache
//	moult refresh feed                         # on a timer
//	moult root rotate feed online              # change who may sign
//	moult prune feed --keep 20                 # old releases go
//	moult list feed                            # what it offers; show and diff say more
//	moult serve feed                           # over HTTP, as any static file server should
//	moult sync feed s3://downloads/hello       # to where it is served: readers see the old feed or the new one
//
// Any web server, bucket or CDN serves it: docs/howto/hosting.md.
//
// Results go to standard output, everything else to standard error. With --json standard output is one document with a schema number,
// of a failure as well. A failure ends with a hint. The exit code is 0 when it is done, 1 when it failed and nothing was changed, 2 for
// a wrong command line, 4 when something does not verify, 5 when there is no permission, 75 for what may pass by itself: the network, a full disk.
//
// Keys and passphrases come from files, variables, commands or the terminal, never from the command line: moult help keys.
package main
