package doctor_test

import (
	"context"
	"fmt"
	"os"

	"github.com/moult-go/moult/server/doctor"
)

// What keeps an executable from being updated, before somebody tries.
func ExampleExamine() {
	exe, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return
	}
	report := doctor.Examine(context.Background(), doctor.Options{App: "hello", Version: "dev", InstallPath: exe})
	for _, f := range report.Findings {
		if f.Check == "version" {
			fmt.Printf("%s: %s\n%s\n", f.Severity, f.Found, f.Why)
		}
	}
	// Output:
	// warning: version "dev" does not parse
	// nothing is newer or older than it, so no update is applied by itself
}
