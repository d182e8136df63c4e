package role_test

import (
	"fmt"

	"github.com/moult-go/moult/grace/role"
)

// A program that uses neither grace nor updater can still answer the proof. In the usual role Act returns at once.
func ExampleAct() {
	role.Act(role.Report{Name: "hello", Version: "1.4.0"})
	fmt.Printf("role %q\n", role.Current())
	// Output: role ""
}
