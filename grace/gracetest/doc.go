// Package gracetest puts a server under load with clients that never retry, and counts what they lose.
//
// A retry hides exactly what a handover may do wrong: a client that sends a POST on a kept-alive connection and gets
// an end of file instead of an answer cannot know whether it was carried out. So the clients here write requests by
// hand, on sockets of their own, and every request that gets no complete answer is a failure with a name.
//
//	load := gracetest.Start(gracetest.Options{Addr: addr, KeepAlive: 8, New: 2, Slow: 2, Silent: 1000})
//	…several upgrades…
//	report := load.Stop()
//
// A client obeys Connection: close, as HTTP/1.1 demands, and opens another connection then. It never looks whether the
// server has closed a connection before it uses it again: between the look and the request's arrival the same could happen.
package gracetest
