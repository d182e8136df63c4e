package fleet_test

import (
	"fmt"
	"time"

	"github.com/moult-go/moult/cmd/moult/fleet"
)

// A bad release is halted two hours after its publication: how much does a rollout by and by save?
func Example() {
	hosts := fleet.Fleet{Hosts: 10_000, Seed: 1, Interval: 6 * time.Hour, Edges: 10, MaxAge: time.Minute}
	took := func(name string) int {
		for _, c := range fleet.Curves() {
			if c.Name != name {
				continue
			}
			spread, err := fleet.Rollout{Fleet: hosts, Curve: c, Halt: 2 * time.Hour, Until: 48 * time.Hour}.Run()
			if err != nil {
				panic(err)
			}
			return spread.Took
		}
		return -1
	}
	all, some := took("all at once"), took("stairs 1-10-50-100 %")
	fmt.Println("a third had checked:", all > 3000 && all < 3800)
	fmt.Println("of the first 1 %, a third:", some > 10 && some < 70)
	// Output:
	// a third had checked: true
	// of the first 1 %, a third: true
}
