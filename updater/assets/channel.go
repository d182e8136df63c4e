package assets

import (
	"strings"

	"github.com/moult-go/moult/release"
)

// InChannel reports whether version v is for those who follow a channel. "stable" takes no pre-releases; any other channel takes those that have
// its name ("beta" takes 1.5.0-beta.2, and not 1.5.0-rc.1), and what stable takes.
func InChannel(v release.Version, channel string) bool {
	word, _, _ := strings.Cut(v.Prerelease(), ".")
	return word == "" || channel != "stable" && strings.TrimRight(word, "0123456789") == channel
}
