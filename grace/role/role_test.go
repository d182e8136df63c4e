package role

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The test binary plays the children: "act" does what every program of ours does first.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE_TEST") {
	case "act":
		if os.Getenv("ROLE_TEST_STAGE") != "" {
			Handle(Stage, func(ch *os.File) error {
				if _, err := ch.WriteString("staged"); err != nil {
					return err
				}
				return nil
			})
		}
		Act(Report{Name: "hello", Version: "1.2.3"})
		fmt.Printf("usual %q marker %q", Current(), os.Getenv(Env))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs the test binary with w as descriptor 3 and the given marker.
func child(t *testing.T, w *os.File, marker string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, "ROLE_TEST=act", marker)...)
	if w != nil {
		cmd.ExtraFiles = []*os.File{w}
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestProof(t *testing.T) {
	r, w := pipe(t)
	marker, err := Mark(Proof, w.Fd(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := child(t, w, marker); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	w.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(r).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	got, err := ParseReport(raw)
	if err != nil || got.Schema != 1 || got.Name != "hello" || got.Version != "1.2.3" || !strings.Contains(got.Platform, "/") {
		t.Errorf("report %+v, %v", got, err)
	}
}

func TestStage(t *testing.T) {
	r, w := pipe(t)
	marker, err := Mark(Stage, w.Fd(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := child(t, w, marker, "ROLE_TEST_STAGE=1"); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	buf := make([]byte, 6)
	if _, err := r.Read(buf); err != nil || string(buf) != "staged" {
		t.Errorf("%q, %v", buf, err)
	}
	_, stderr, err := child(t, w, marker) // a program that links no updater
	if err == nil || !strings.Contains(stderr, "no handler") {
		t.Errorf("without a handler: %v, %q", err, stderr)
	}
}

// TestInert: a marker that was left behind, or is not bound to our descriptor, changes nothing; in every case
// it is gone before the program can pass it on.
func TestInert(t *testing.T) {
	_, w := pipe(t)
	_, other := pipe(t)
	good, err := Mark(Proof, w.Fd(), 1)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ofFile, err := Mark(Proof, file.Fd(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		marker string
		fd     *os.File
	}{
		"nothing inherited":  {good, nil},
		"another descriptor": {good, other},
		"a plain file":       {ofFile, file},
		"unknown role":       {strings.Replace(good, "proof", "king", 1), w},
		"no descriptors":     {strings.Replace(good, ":1:", ":0:", 1), w},
		"garbage":            {Env + "=::::", w},
		"empty":              {Env + "=", w},
	} {
		stdout, stderr, err := child(t, c.fd, c.marker)
		if want := `usual "" marker ""`; err != nil || stdout != want {
			t.Errorf("%s: %q, %v, %s; want %s", name, stdout, err, stderr, want)
		}
	}
}

// TestSentinel: an executable that links this package can be told by its bytes.
func TestSentinel(t *testing.T) {
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(Sentinel)) {
		t.Error("not in this executable")
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"schema":1,"name":"a","version":"1.0.0","protocols":[1]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseReport(b); err == nil && r.Schema < 1 {
			t.Errorf("accepted schema %d", r.Schema)
		}
	})
}

// FuzzParse: a marker is read as it was written, or not at all.
func FuzzParse(f *testing.F) {
	f.Add("successor:3:1-2-3")
	f.Add("proof:9223372036854775807:x")
	f.Add("stage:-1")
	f.Fuzz(func(t *testing.T, v string) {
		k, n, id, ok := parse(v)
		if !ok {
			return
		}
		if n < 1 || n > mostDescriptors || k == None {
			t.Errorf("%q: role %q with %d descriptors", v, k, n)
		}
		if k2, n2, id2, ok := parse(fmt.Sprintf("%s:%d:%s", k, n, id)); !ok || k2 != k || n2 != n || id2 != id {
			t.Errorf("%q: %s, %d, %q became %s, %d, %q", v, k, n, id, k2, n2, id2)
		}
	})
}
