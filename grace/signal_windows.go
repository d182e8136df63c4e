package grace

import "os"

// Windows has no signal that asks for a restart.
var (
	stopSignals   = []os.Signal{os.Interrupt}
	hangupSignals []os.Signal
)
