package main

import "flag"

// fault is what makes a failing version fail. The files fault_*.go set it, each under its build tag; without a tag
// it does nothing. They all answer the proof, because it is not what they test.
var fault = faults{atMain: func() {}, flags: func(*flag.FlagSet) {}, onStart: func() {}, onReady: func() {}}

type faults struct {
	atMain  func() // before anything else
	flags   func(*flag.FlagSet)
	onStart func() // by serve, before it opens anything
	onReady func() // when it serves
}
