//go:build unix

package server_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// examples is a module of its own: nothing that it needs is among our dependencies.
const examples = "testdata/examples"

// examplesModule returns the arguments for go build that leave its go.mod as it is, whatever ours says by now. Without the network, and with
// nothing in the cache, the examples cannot be built.
func examplesModule(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(examples, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-mod=mod", "-modfile=" + filepath.Join(dir, "go.mod")}
	list := exec.Command("go", append(append([]string{"list", "-C", examples, "-deps"}, args...), "./...")...)
	if out, err := list.CombinedOutput(); err != nil {
		t.Skipf("the modules of the examples are not to be had: %v\n%s", err, out)
	}
	return args
}

// TestExamples runs the programs that show gRPC and WebSockets, each with its own client, through upgrades: nothing fails, every stream and every
// connection is told to move on, and nobody waits for the drain deadline.
func TestExamples(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds gRPC")
	}
	args := examplesModule(t)
	for _, tt := range []struct {
		name, scheme, path string
		clients            int // that are told to move on at each upgrade
	}{
		{"grpc", "", "", 4},
		{"websocket", "ws://", "/", 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, exe := buildProgram(t, filepath.Join(examples, tt.name), args...)
			_, clientExe := buildProgram(t, filepath.Join(examples, tt.name, "client"), args...)
			l := startLine(t, dir, exe, "-listen", "127.0.0.1:0")
			st, err := l.status()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(clientExe, tt.scheme+st.Listen[0]+tt.path)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			quit, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			l.wait("clients", func() bool { st, err := l.status(); return err == nil && st.Connections > 0 })
			upgrades := promised(10)
			for range upgrades {
				began := time.Now()
				l.restart()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the drain took %s: somebody was not told to move on", took)
				}
			}
			quit.Close()
			slow := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			defer slow.Stop()
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, &errs)
			}
			var seen struct {
				Calls, Moved int
				Generations  []int
				Failed       []string
			}
			if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
				t.Fatalf("%v in %q", err, out.String())
			}
			t.Logf("%d answers over %d upgrades, %d told to move on, %d failed", seen.Calls, upgrades, seen.Moved, len(seen.Failed))
			if len(seen.Failed) > 0 || seen.Calls < 100 {
				t.Errorf("%d answers, %d failed, the first: %q", seen.Calls, len(seen.Failed), seen.Failed[:min(3, len(seen.Failed))])
			}
			if seen.Moved < upgrades*tt.clients { // a stream may come back before the GOAWAY has arrived, and is told again
				t.Errorf("%d were told to move on, want at least %d", seen.Moved, upgrades*tt.clients)
			}
			for i, g := range seen.Generations {
				if g != upgrades+1 {
					t.Errorf("client %d: last answered by generation %d, want %d", i, g, upgrades+1)
				}
			}
		})
	}
}
