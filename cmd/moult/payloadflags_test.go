package main

import (
	"path/filepath"
	"testing"
)

func TestCompress(t *testing.T) {
	for arg, pattern := range map[string]string{"--compress": "feed/targets/1.0.0/*.zst", "--compress=false": "feed/targets/1.0.0/*64"} {
		t.Chdir(t.TempDir())
		want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
		want(t, 0, "publish", "feed", smallProgram(t), "--version", "1.0.0", arg)
		if files, err := filepath.Glob(pattern); err != nil || len(files) != 1 {
			t.Errorf("%s: %v, %v", arg, files, err)
		}
		want(t, 0, "verify", "feed", "--root=feed/metadata/1.root.json")
	}
}
