package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// errNoTree says that there is nothing to build from.
var errNoTree = errors.New("not in the source tree of moult, whose cmd/app is built here")

const modulePath = "github.com/moult-go/moult"

// findTree looks for our source tree in the working directory and above it.
func findTree() (string, error) {
	if runtime.GOOS == "windows" {
		return "", fmt.Errorf("demo: a server cannot hand its sockets over on windows, run it on Linux: %w", errors.ErrUnsupported)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module "+modulePath+"\n")) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("demo: %w", errNoTree)
		}
		dir = up
	}
}

// goBuild builds cmd/app as the given version.
func goBuild(ctx context.Context, tree, exe, version, tags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", tags, "-o", exe,
		"-ldflags", "-s -w -X main.version="+version, "./cmd/app")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("demo: build version %s: %w\n%s", version, err, out)
	}
	return nil
}
