package assets

import (
	"path/filepath"
	"runtime"
)

// hostLibc is the C library that programs find here, "" if that cannot be told. A system with the loaders of both is one with glibc.
func hostLibc() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	if found, _ := filepath.Glob("/lib*/ld-linux*.so.*"); len(found) > 0 {
		return "gnu"
	}
	if found, _ := filepath.Glob("/lib/ld-musl-*.so.1"); len(found) > 0 {
		return "musl"
	}
	return ""
}
