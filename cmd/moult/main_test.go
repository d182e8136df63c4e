package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/updater"
)

// The test's own executable is what most tests publish, in any version: nobody is to start it.
func TestMain(m *testing.M) {
	askProgram = func(context.Context, string) (role.Report, error) {
		return role.Report{}, fmt.Errorf("the test's own executable: %w", updater.ErrNoReport)
	}
	code := m.Run()
	removeBuilds()
	os.Exit(code)
}
