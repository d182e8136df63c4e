// Package accesslog writes a line for every request that has been answered.
//
//	log, err := accesslog.Open("/var/log/app/access.log", accesslog.Options{Generation: 3})
//	handler = log.Handler(handler)
//
// # Formats
//
// JSON: one object a line, by log/slog, with the fields time, level, msg ("request"), generation, remote, method, path, proto, host, status, bytes, duration
// (seconds), request_id, and, if there are any, traceparent, referer and user_agent. Combined and Common: the lines of the same name of other
// servers, in which quotes, backslashes and what is no printable ASCII are escaped as \xHH. Paths are percent-encoded, as in the request. Queries are
// left out, as they often carry secrets, unless Options.Query asks for them.
//
// # Two processes, one file
//
// The file is opened for appending and never truncated, and each line is one write: two generations that answer at the same time do not mix their
// lines. Each opens the file by its name, so that after a rotation by rename a restart writes to the new file.
//
// # Identities
//
// A request without a well-formed X-Request-Id is given one: it is in the log, in the answer, and in the request as
// handlers, and servers behind a proxy, see it. A traceparent (W3C Trace Context) is logged if it is well formed.
package accesslog
