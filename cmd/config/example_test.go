package config_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/moult-go/moult/cmd/config"
)

// A flag, a variable and a file, each of which says something.
func ExampleRead() {
	dir, err := os.MkdirTemp("", "ex")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "hello.toml")
	os.WriteFile(file, []byte("listen = ['localhost:8080', 'unix:/run/hello.sock']\nkeep = 5\n"), 0o600)

	fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	listen := fl.StringArray("listen", nil, "address to listen on")
	keep := fl.Int("keep", 4, "how many versions stay")
	fl.Duration("drain-timeout", 0, "how long requests may take")
	config.Flag(fl)
	fl.Parse([]string{"--config", file})

	settings, err := config.Read(fl, config.Options{Program: "hello", Environ: []string{"HELLO_KEEP=6"}})
	fmt.Println(*listen, *keep, err)
	for _, s := range settings {
		fmt.Println(s.Name, filepath.Base(s.Origin))
	}

	_, err = config.Read(fl, config.Options{Program: "hello", Environ: []string{"HELLO_KEPP=6"}})
	fmt.Println(err)
	// Output:
	// [localhost:8080 unix:/run/hello.sock] 6 <nil>
	// config flag
	// drain-timeout default
	// keep HELLO_KEEP
	// listen hello.toml:1
	// HELLO_KEPP: unknown variable; did you mean HELLO_KEEP?
}
