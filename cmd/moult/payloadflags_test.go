package main

import (
	"debug/elf"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// writeVersion writes an executable for a platform that is none of ours, most of whose bytes all versions have in common.
func writeVersion(t *testing.T, version string) string {
	t.Helper()
	b := elfFile(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_RISCV)
	common := make([]byte, 100<<10)
	rand.NewChaCha8([32]byte{}).Read(common)
	b = append(append(append(b, common...), make([]byte, 100<<10)...), version...)
	if err := os.WriteFile("hello-"+version, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return "hello-" + version
}

func TestDeltas(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	want(t, 0, "publish", "feed", writeVersion(t, "1.0.0"), "--version", "1.0.0", "--skip-check", "module")
	want(t, 0, "promote", "feed", "1.0.0")
	second := []string{"publish", "feed", writeVersion(t, "1.1.0"), "--version", "1.1.0", "--force", "--skip-check", "module"}
	want(t, 0, append(second, "--deltas", "0")...)
	if files, _ := filepath.Glob("feed/targets/*/*.delta"); len(files) != 0 {
		t.Errorf("none was wanted, and there are %v", files)
	}
	if said := want(t, 0, second...); !strings.Contains(said, "linux/riscv64: delta from 1.0.0, ") {
		t.Errorf("said:\n%s", said)
	}
	doc := document(t, want(t, 0, append(second, "--json")...))
	if file := doc["files"].([]any)[0].(map[string]any); len(file["deltas"].([]any)) != 1 || file["payload_format"] != "zstd" {
		t.Errorf("document %v", doc)
	}
	for _, path := range []string{"feed/targets/1.0.0/*.zst", "feed/targets/1.1.0/*.delta"} {
		files, _ := filepath.Glob(path)
		if len(files) != 1 {
			t.Fatalf("%s: %v", path, files)
		}
		os.Remove(files[0])
	}
	if code, _, stderr := moult(t, "promote", "feed", "1.1.0"); code != 0 || !strings.Contains(stderr, "no delta for hello-linux-riscv64 from 1.0.0: its payload") {
		t.Errorf("base pruned: %d, %s", code, stderr)
	}
}
