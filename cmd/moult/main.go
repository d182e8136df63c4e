package main

import (
	"context"
	"os"

	"github.com/moult-go/moult/grace/role"
)

func main() {
	role.Act(role.Report{Name: "moult"}) // the tool can be published with itself
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
