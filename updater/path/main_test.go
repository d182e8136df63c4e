package path_test

import (
	"os"
	"testing"

	"github.com/moult-go/moult/grace/role"
)

// TestMain lets the test binary be the staging child of the updater under test.
func TestMain(m *testing.M) {
	role.Act(role.Report{})
	os.Exit(m.Run())
}
