//go:build !linux

package grace

// lint warns, at readiness, of what will hurt the next handover. A process cannot list its descriptors everywhere.
func (p *Process) lint() { p.warnOfUnitSockets() }
