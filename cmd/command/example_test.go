package command_test

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/updater/feed"
)

var (
	version = "1.4.0" // set by the linker
	root    []byte    // by go:embed
)

// A whole self-updating service with its command line.
func ExampleMain() {
	command.Main(server.Service{
		Name:    "hello",
		Version: version,
		Source:  feed.New("https://example.com/hello", root),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "hello, world")
		}),
	})
}

// The same commands in a command line of one's own.
func ExampleNew() {
	mine := &cobra.Command{Use: "hello", SilenceErrors: true}
	mine.AddCommand(command.New(server.Service{
		Name:    "hello",
		Version: "1.4.0",
		Handler: http.NotFoundHandler(),
	})...)
	mine.SetArgs([]string{"upgrade"}) // on a terminal it would ask
	mine.SetOut(os.Stdout)
	mine.SetIn(http.NoBody)
	err := mine.Execute()
	fmt.Println(err, command.ExitCode(err))
	// Output:
	// needs --yes, no terminal to ask on 2
}
