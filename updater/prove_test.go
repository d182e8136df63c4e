package updater

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

func TestCandidatesThatFailTheProof(t *testing.T) {
	good := candidate(t, linked)
	other := []byte("arm64")
	if release.Host().Arch == "arm64" {
		other = []byte("amd64")
	}
	tests := []struct {
		name    string
		version string
		payload []byte
		module  string
		class   Class
		reason  string
		words   string
	}{
		{"exits", "9.9.2-exit", nil, "", Failed, "proof-failed", "cannot [31mstart"},
		{"hangs", "9.9.2-hang", nil, "", Failed, "proof-failed", ""},
		{"lies about its version", "9.9.2-liar", nil, "", Verification, "wrong-version", ""},
		{"is another program", "9.9.2-them", nil, "", Verification, "wrong-app", ""},
		{"is another module", "9.9.2-good", nil, "example.com/other", Verification, "wrong-module", ""},
		{"is no executable", "1.1.0", []byte("#!/bin/sh\n"), "", Verification, "not-executable", ""},
		{"is empty", "1.1.0", []byte{}, "", Verification, "not-executable", ""},
		{"ends in its header", "1.1.0", good[:32], "", Verification, "wrong-format", ""},
		{"is cut off", "1.1.0", good[:4096], "", Verification, "wrong-format", ""},
		{"is for another architecture", "1.1.0", bytes.ReplaceAll(good, []byte("GOARCH="+release.Host().Arch), append([]byte("GOARCH="), other...)),
			"", Policy, "wrong-platform", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.Module, o.ProofTimeout = test.module, 5*time.Second })
			if test.name == "hangs" {
				b.o.ProofTimeout = 300 * time.Millisecond
			}
			payload := test.payload
			if payload == nil {
				payload = candidate(t, test.version)
			}
			b.source.offer(test.version, payload)
			_, err := b.Upgrade(t.Context(), Request{})
			wantError(t, err, test.class, test.reason)
			if last := b.status().Last; last.Reason != test.reason || last.Words != test.words {
				t.Errorf("last attempt %+v", last)
			}
			if b.installed() != oldBytes {
				t.Error("it was installed")
			}
			b.wantTidy()
		})
	}
}

// TestProofSeesNothingOfOurs starts a script in the proof role, which it does not know: only the environment
// and descriptors that it was given can be seen.
func TestProofSeesNothingOfOurs(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "hunter2")
	leak, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	script := filepath.Join(t.TempDir(), "script")
	body := "#!/bin/sh\nenv >&3\nls /proc/self/fd >&3\ncat >&3\nexec sleep 0\n"
	if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := runRole(t.Context(), script, role.Proof, nil, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); strings.Contains(s, "hunter2") || !strings.Contains(s, role.Env) || strings.Contains(s, "\n6\n") {
		t.Errorf("the child sees:\n%s", s)
	}
	if _, err := runRole(t.Context(), script, role.Proof, nil, 3); err == nil {
		t.Error("an endless answer was taken")
	}
}

func TestHeadersOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\nfunc main() { panic(\"run\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/plain\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", "plain", ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	payload, err := os.ReadFile(filepath.Join(dir, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *Options) { o.Module = "example.com/plain" })
	b.source.offer("1.1.0", payload)
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if s := b.status(); s.Last.Proof != proofHeaders {
		t.Errorf("proof %q", s.Last.Proof)
	}
}

func TestContainsAcrossBlocks(t *testing.T) {
	needle := []byte(role.Sentinel)
	for _, at := range []int{0, 256<<10 - 1, 256<<10 - len(needle), 256<<10 - 20, 512<<10 - 70, 700 << 10} {
		hay := make([]byte, 1<<20)
		copy(hay[at:], needle)
		if ok, err := contains(bytes.NewReader(hay), needle); !ok || err != nil {
			t.Errorf("at %d: %v, %v", at, ok, err)
		}
	}
	if ok, err := contains(bytes.NewReader(make([]byte, 1<<20)), needle); ok || err != nil {
		t.Errorf("in zeros: %v, %v", ok, err)
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("MZ"))
	f.Add([]byte("\xcf\xfa\xed\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := inspect(path); err == nil {
			t.Fatal("taken for a Go program")
		}
	})
}
