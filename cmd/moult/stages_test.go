package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moult-go/moult/release/tuf"
)

func TestStages(t *testing.T) {
	steps := []tuf.Progress{
		{Stage: "compress", File: "hello-linux-amd64", Done: 0, Total: 100_000}, {Stage: "compress", File: "hello-linux-arm64", Done: 0, Total: 50_000},
		{Stage: "compress", File: "hello-linux-amd64", Done: 100_000, Total: 100_000}, {Stage: "compress", File: "hello-linux-arm64", Done: 50_000, Total: 50_000},
		{Stage: "delta", File: "hello-linux-amd64", Done: 0, Total: 100_000},
	}
	for name, tc := range map[string]struct {
		s    stages
		want string
	}{
		"lines": {stages{}, "compress hello-linux-amd64 (100.0 kB)\ncompress hello-linux-arm64 (50.0 kB)\ndelta hello-linux-amd64 (100.0 kB)\n"},
		"quiet": {stages{quiet: true}, ""},
	} {
		var b bytes.Buffer
		tc.s.w = &b
		for _, p := range steps {
			tc.s.show(p)
		}
		tc.s.end()
		if b.String() != tc.want {
			t.Errorf("%s: %q", name, b.String())
		}
	}
	var b bytes.Buffer
	bar := stages{w: &b, terminal: true}
	for _, p := range steps[:4] {
		bar.show(p)
	}
	if total := bar.bar.GetMax64(); total != 150_000 {
		t.Errorf("a bar of %d bytes", total)
	}
	bar.end()
	if s := b.String(); !strings.Contains(s, "compress") || strings.Contains(s, "\n") {
		t.Errorf("the bar: %q", s)
	}
}
