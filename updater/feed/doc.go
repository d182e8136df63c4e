// Package feed is an update source that reads a TUF feed: static files on any web server, written by
// `moult publish`.
//
//	//go:embed root.json
//	var root []byte
//
//	src := feed.New("https://example.com/hello", root)
//	u, err := updater.New(updater.Options{Name: "hello", Version: version, Source: src})
//
// The embedded root is the whole trust: there is none on first use. Package release/tuf verifies signatures,
// thresholds, expiry, and that nothing goes back; the trusted metadata is cached in the state directory, below a
// name made of the embedded root's digest. An unchanged check costs two requests. The feed is asked every 6 hours.
//
// [NewWith] takes mirrors, and certificate authorities of one's own. Proxies are those of the environment. A server that says
// when to come back (Retry-After) is not asked before.
//
// A feed that cannot be trusted stops updates and nothing else: errors of class Verification say why ("expired",
// "bad-signature", "rollback", "bad-metadata"), errors of class Temporary are tried again at the next check.
package feed
