// Package proxy passes requests on to the servers behind this one: net/http/httputil.ReverseProxy, with several upstreams for a path, their
// health, and a goodbye for what does not end by itself.
//
//	route, err := proxy.ParseRoute("/api=http://127.0.0.1:9000")
//	p, err := proxy.New(ctx, proxy.Options{Routes: []proxy.Route{route}})
//	http.Handle("/", p.Handler(files)) // what no route matches goes to files
//
// # Upstreams
//
// http and https (HTTP/1.1, and HTTP/2 if the upstream offers it), h2c (HTTP/2 without TLS) and unix (HTTP/1.1 on a socket). Of several for one path, that
// which is well and has the fewest requests under way gets the next one. An upstream that refuses a connection is left out, and dialled again
// after 50 ms, 100 ms and so on up to a second, until it accepts: no request is spent on that. With Options.HealthPath each
// is asked in between too, and left out while its answer is not 2xx or 3xx.
//
// A request whose connection could not even be made goes to the next upstream: nothing of it was sent. No other is repeated here, but by
// net/http, which sends one that may be repeated again if a kept connection turns out to be closed.
//
// # What is passed on
//
// The path as it came, below that of the upstream's URL; one with ".." in it, in any disguise, is refused. The Host is the client's, unless
// Options.RewriteHost. Hop-by-hop headers stay here. Package forwarded writes where the request comes from.
// Answers stream: what has no length, or is text/event-stream, is flushed at once. There is a limit to the wait for an answer's header, and none
// to its body.
//
// # Errors
//
// 502 the upstream cannot be reached, or breaks off; 503 none is well; 504 none answers in time; 499 (in the log only) the client is gone. The body says which,
// and the log says why: addresses are not told to strangers.
//
// # Drain
//
// When this process begins to drain, an event stream ends after an event, and a WebSocket client gets a close frame with code 1001 (going away)
// between two frames: both come back, to the successor. They are told within 2 s, not all at once.
package proxy
