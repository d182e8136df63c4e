package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-go/moult/grace/role"
)

// programs are what the test binary plays instead, by the value of SERVER_TEST_PROGRAM: a program may call Run once.
var programs = map[string]func(){"echo": ExampleListener}

// builtDir has the programs that tests have built. It is removed at the end.
var builtDir string

func TestMain(m *testing.M) {
	role.Act(role.Report{Name: filepath.Base(os.Args[0]), Version: "dev"}) // what is copied to play a program is called by its name
	if program, ok := programs[os.Getenv("SERVER_TEST_PROGRAM")]; ok {
		program()
		return
	}
	code := m.Run()
	os.RemoveAll(builtDir)
	os.Exit(code)
}
