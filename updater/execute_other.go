//go:build !unix

package updater

import "fmt"

// execute cannot be done here: a process keeps its image.
func execute(path string, _, _ []string) error {
	return fmt.Errorf("the previous version is back at %s: start it again", path)
}
