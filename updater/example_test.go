package updater_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/path"
)

// A command-line tool that updates itself: it has nothing to hand over, so the executable is replaced alone.
func Example() {
	// In a tool of yours these come from the linker and from //go:embed.
	version, publicKey := "1.0.0", "RWQ..."

	install := filepath.Join(must(os.MkdirTemp("", "example")), "tool") // leave InstallPath empty for os.Executable
	defer os.RemoveAll(filepath.Dir(install))
	if err := os.WriteFile(install, []byte("the tool"), 0o755); err != nil {
		log.Fatal(err)
	}

	u, err := updater.New(updater.Options{
		Name:        "tool",
		Version:     version,
		Source:      path.New(filepath.Join(filepath.Dir(install), "drop", "tool"), publicKey),
		InstallPath: install,
	})
	if err != nil {
		log.Fatal(err)
	}
	found, err := u.Check(context.Background(), updater.Request{Manual: true})
	fmt.Println("available:", found.Available, err)

	_, err = u.Upgrade(context.Background(), updater.Request{Manual: true})
	var e *updater.Error
	if errors.As(err, &e) {
		fmt.Println(e.Class, e.Reason)
	}
	// Output:
	// available: false <nil>
	// temporary missing
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
