package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestPrune(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		want(t, 0, "publish", "feed", writeVersion(t, v), "--version", v, "--skip-check", "module")
	}
	count := func(pattern string) int {
		files, _ := filepath.Glob(pattern)
		return len(files)
	}
	if said := want(t, 0, "prune", "feed"); !strings.Contains(said, "that nothing refers to") {
		t.Errorf("old indexes and metadata: %s", said)
	}
	if said := want(t, 0, "prune", "feed", "--keep", "1", "--dry-run"); !strings.Contains(said, "hello 1.0.0 would be dropped from beta") || !strings.Contains(said, "Nothing was changed") {
		t.Errorf("dry run: %s", said)
	}
	doc := document(t, want(t, 0, "prune", "feed", "--keep", "1", "--json"))
	if len(doc["releases"].([]any)) != 2 || len(doc["files"].([]any)) != 0 || count("feed/targets/1.0.0/*") == 0 {
		t.Errorf("pruned %v", doc)
	}
	if said := want(t, 0, "prune", "feed", "--grace", "0"); !strings.Contains(said, " removed, ") || count("feed/targets/1.*/*") != 1 {
		t.Errorf("without grace: %s", said)
	}
	if said := want(t, 0, "prune", "feed", "--grace", "0"); !strings.Contains(said, "nothing to prune") {
		t.Errorf("once more: %s", said)
	}
	want(t, 0, "verify", "feed", "--root=feed/metadata/1.root.json")
	want(t, exitUsage, "prune", "feed", "--keep=-1")
	want(t, exitUsage, "prune")
}
