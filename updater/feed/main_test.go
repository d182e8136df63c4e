package feed_test

import (
	"os"
	"testing"

	"github.com/moult-go/moult/grace/role"
)

// TestMain lets the test binary be the staging child of the updater under test, and the updater that a test kills.
func TestMain(m *testing.M) {
	role.Act(role.Report{})
	if dir := os.Getenv(installedEnv); dir != "" {
		os.Exit(upgradeOnce(dir))
	}
	os.Exit(m.Run())
}
