//go:build unix

package updater

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func init() { otherProcesses["one of two"] = oneOfTwo }

// oneOfTwo waits for the end of its input and upgrades the installation in UPDATER_TEST_DIR to the version in UPDATER_TEST_VERSION.
func oneOfTwo() int {
	dir, version := os.Getenv("UPDATER_TEST_DIR"), os.Getenv("UPDATER_TEST_VERSION")
	payload, err := os.ReadFile(filepath.Join(dir, version))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	io.Copy(io.Discard, os.Stdin)
	src := &fakeSource{}
	src.offer(version, payload)
	u, err := New(Options{Name: "hello", Version: "1.0.0", Source: src, InstallPath: filepath.Join(dir, "hello"), Module: "-"})
	if err == nil {
		_, err = u.Upgrade(context.Background(), Request{})
	}
	e := (*Error)(nil)
	switch {
	case err == nil:
		fmt.Println("done")
	case errors.As(err, &e) && (e.Class == Busy || e.Reason == "older"): // the other one was there first
		fmt.Println(e.Reason)
	default:
		fmt.Println("failed:", err)
	}
	return 0
}

// TestTwoUpdaters: two real processes, two good payloads, the same moment. Whoever is first, the installation is whole, and nobody fails for
// another reason than the other one. (Two calls of minio/selfupdate's Apply ended corrupt or missing in 2 of 200 rounds.)
func TestTwoUpdaters(t *testing.T) {
	rounds := 20
	if os.Getenv("MOULT_PROMISES") == "full" {
		rounds = 200
	}
	versions := []string{"9.9.2-good", "9.9.3-good"}
	said := map[string]int{}
	root := t.TempDir()
	for n := range rounds {
		dir := filepath.Join(root, fmt.Sprint(n))
		err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "hello"), []byte(oldBytes), 0o755))
		for _, v := range versions {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, v), candidate(t, v), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range race(t, dir, versions) {
			said[strings.TrimSpace(out)]++
			if strings.HasPrefix(out, "failed") || out == "" {
				t.Errorf("round %d: %s", n, out)
			}
		}
		b := &bench{t: t, path: filepath.Join(dir, "hello"), source: &fakeSource{}, log: io.Discard}
		got := b.installed()
		if got != string(candidate(t, versions[0])) && got != string(candidate(t, versions[1])) {
			t.Fatalf("round %d: %d bytes at the install path", n, len(got))
		}
		if err := exec.Command(b.path).Run(); errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
			t.Errorf("round %d: %v", n, err)
		}
		b.open(nil)
		b.lock()
		b.wantTidy()
		b.Unlock()
		os.RemoveAll(dir)
	}
	t.Logf("%d rounds: %v", rounds, said)
	if said["done"] < rounds {
		t.Errorf("%v: in some round nobody was first", said)
	}
}

// race lets two processes begin at the same moment, and returns what they told.
func race(t *testing.T, dir string, versions []string) (told []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var children []*exec.Cmd
	var outs []*strings.Builder
	for _, v := range versions {
		cmd, out := exec.CommandContext(ctx, os.Args[0]), &strings.Builder{}
		cmd.Env = append(os.Environ(), "UPDATER_TEST_DIR="+dir, "UPDATER_TEST_MODE=one of two", "UPDATER_TEST_VERSION="+v)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = r, out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children, outs = append(children, cmd), append(outs, out)
	}
	r.Close()
	w.Close()
	for i, c := range children {
		if err := c.Wait(); err != nil {
			t.Errorf("%v: %s", err, outs[i])
		}
		told = append(told, outs[i].String())
	}
	return told
}
