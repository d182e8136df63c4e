package grace

// WithoutExitProbe makes this process learn of a death by the end of the socketpair, and by reaping, alone.
func WithoutExitProbe() { procfs = "/nonexistent" }
