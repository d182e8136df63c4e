//go:build skewed

package tuf

import (
	"os"
	"strings"
	"time"
)

// clock is wrong by what the file named by MOULT_TEST_SKEW says at this moment, as "-87600h": a program in Go asks the kernel without
// the C library, where faketime would sit.
func clock() time.Time {
	b, _ := os.ReadFile(os.Getenv("MOULT_TEST_SKEW"))
	d, _ := time.ParseDuration(strings.TrimSpace(string(b))) // no file: no skew
	return time.Now().Add(d)
}
