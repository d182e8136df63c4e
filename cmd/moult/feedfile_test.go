package main

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzClassify: what is served, copied or removed as a file of a feed lies in the feed, is hidden nowhere, and may be kept for ever only
// under a name that says which version or which bytes it is.
func FuzzClassify(f *testing.F) {
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, s := range []string{"metadata/timestamp.json", "metadata/1.root.json", "targets/" + hex + ".feed.json", "targets/beta/" + hex + ".linux-amd64.json",
		"targets/1.0.0/" + hex + ".hello", "targets/../" + hex + ".x", "targets/.new-1", "metadata/keys/root.key"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		file, ok := classify(s)
		if !ok {
			return
		}
		if path.Clean(s) != s || !filepath.IsLocal(s) || strings.Contains(s, "/.") || !strings.HasPrefix(s, "metadata/") && !strings.HasPrefix(s, "targets/") {
			t.Errorf("%q is a file of the feed", s)
		}
		if file.cacheControl == cacheForever && !metadataRule.MatchString(s) && file.digest == "" {
			t.Errorf("%q may be kept for ever", s)
		}
	})
}
