package admin_test

import (
	"fmt"

	"github.com/moult-go/moult/server/admin"
)

// What a server writes down for those who look for its admin socket, and what they read.
func ExampleParseInstance() {
	in, err := admin.ParseInstance([]byte(`{"schema":1,"id":"ab12cd","pid":4312,"version":"1.4.0","admin":"/run/hello/admin.sock"}`))
	fmt.Println(in.ID, in.PID, err)
	// Output: ab12cd 4312 <nil>
}
