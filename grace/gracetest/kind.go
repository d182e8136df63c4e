package gracetest

import "time"

// Kind is a population of clients.
type Kind string

// The populations.
const (
	KeepAlive Kind = "keep-alive POST"       // one connection, a POST at a time
	Idle      Kind = "idle POST"             // one connection, pauses between POSTs
	New       Kind = "new connection"        // a connection for each GET
	Slow      Kind = "slow GET"              // an answer that takes long
	Bytewise  Kind = "byte-wise POST"        // one connection, a request written byte by byte
	Pipelined Kind = "pipelined POST"        // three POSTs and the first bytes of a fourth in one write; its rest comes later
	Streaming Kind = "streaming GET"         // an answer in many pieces, each byte of it checked
	Distant   Kind = "10 ms round-trip POST" // one connection to a server that seems 5 ms away
	Hold      Kind = "held POST"             // one connection, seconds between POSTs, and one more at Stop
	Late      Kind = "late first byte"       // a connection for each POST, silent for a while before it
	Silent    Kind = "silent connection"     // asked once, then silent until Stop, which asks again
)

// distance is how far away, one way, a server seems to a Distant client.
const distance = 5 * time.Millisecond

// clients is how many there are of each kind, without the silent ones, which share a goroutine.
func (o Options) clients() map[Kind]int {
	return map[Kind]int{
		KeepAlive: o.KeepAlive, Idle: o.Idle, New: o.New, Slow: o.Slow, Bytewise: o.Bytewise, Pipelined: o.Pipelined,
		Streaming: o.Streaming, Distant: o.Distant, Hold: o.Hold, Late: o.Late,
	}
}

// pause is the mean time between two requests of a client.
func (o Options) pause(k Kind) time.Duration {
	switch k {
	case Idle, Distant:
		return o.IdlePause
	case Hold:
		return o.HoldPause
	}
	return o.Pause
}
