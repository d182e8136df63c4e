package gracetest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
)

// TestUpgrade is how the test of a service may look.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	started := time.Now() // in each server anew, as in each generation of a program
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "up for %s\n", time.Since(started))
	})
	gracetest.Run(t, mux, gracetest.Handovers(1), gracetest.KillSuccessor(gracetest.FirstHalf))
}

func ExampleRun() {
	// In the package of your service:
	TestUpgrade := func(t *testing.T) {
		gracetest.Run(t, http.FileServer(http.Dir(".")),
			gracetest.Handovers(3),
			gracetest.KillSuccessor(gracetest.FirstHalf, gracetest.SecondHalf),
			gracetest.Under(gracetest.Options{KeepAlive: 8, New: 2, Silent: 100}))
	}
	_ = TestUpgrade // go test calls it
}
