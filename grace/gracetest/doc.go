// Package gracetest shows whether a server loses requests when it is replaced.
//
// # Your handler, in your test
//
// [Run] serves a handler in processes of its own, puts them under load, and lets each hand over to the next:
//
//	func TestUpgrade(t *testing.T) {
//		gracetest.Run(t, newHandler(), gracetest.Handovers(3))
//	}
//
// The test fails if a request is lost, if a handover does not come about, or if a server dies; then it shows what the servers
// wrote. There is nothing else to set up: the servers are the test binary, run again for this test, so what comes before Run
// in the test happens in each of them, as it does in each generation of your program. [KillSuccessor] and [KillPredecessor]
// add handovers in which one of the two processes is killed: then only the requests in that process may be
// lost, and Run knows which they were. [Shutdown] is the control: the same load on a server that does what net/http
// offers, to see what the load sees.
//
//	gracetest.Run(t, h, gracetest.KillSuccessor(gracetest.FirstHalf, gracetest.AfterCommit))
//	gracetest.Run(t, h, gracetest.TLS(), gracetest.Under(gracetest.Options{KeepAlive: 50, PostPath: "/items"}))
//
// # The load
//
// [Start] puts any server under load with clients that never retry, and counts what they lose. A retry hides exactly what
// a handover may do wrong: a client that sends a POST on a kept-alive connection and gets an end of file instead of an answer
// cannot know whether it was carried out. So the clients here write requests by hand, on sockets of their own, and every
// request that gets no complete answer is a failure with a name.
//
//	load := gracetest.Start(gracetest.Options{Addr: addr, KeepAlive: 8, New: 2, Slow: 2, Silent: 1000})
//	…several upgrades…
//	report := load.Stop()
//
// A client obeys Connection: close, as HTTP/1.1 demands, and opens another connection then. It never looks whether the
// server has closed a connection before it uses it again: between the look and the request's arrival the same could happen.
//
// # What it does not do
//
// The clients speak HTTP/1.1, with or without TLS. Kills need Linux; on Windows, where nothing is handed over, Run skips.
package gracetest
