package main

import (
	"runtime"

	"golang.org/x/sys/cpu"

	"github.com/moult-go/moult/release"
)

// machine is what this machine can run, for trying a program before it is signed. A server's choice goes by what its own program was built
// for instead: release.Host.
func machine() release.Platform {
	p := release.Host()
	if runtime.GOARCH == "amd64" {
		p.Variant = amd64Level()
	}
	return p
}

// amd64Level is the x86-64 level of this processor, as a program built with GOAMD64 asks for it when it starts.
func amd64Level() string {
	x := cpu.X86
	switch {
	case !x.HasSSE3 || !x.HasSSSE3 || !x.HasSSE41 || !x.HasSSE42 || !x.HasPOPCNT || !x.HasCX16 || !x.HasLAHF:
		return ""
	case !x.HasAVX || !x.HasAVX2 || !x.HasBMI1 || !x.HasBMI2 || !x.HasF16C || !x.HasFMA || !x.HasLZCNT || !x.HasMOVBE || !x.HasOSXSAVE:
		return "v2"
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512CD || !x.HasAVX512DQ || !x.HasAVX512VL:
		return "v3"
	}
	return "v4"
}
