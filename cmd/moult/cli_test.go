package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// moult runs one command line in dir and returns what it said.
func moult(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{}, args...), &out, &errs) // none is not nil, which would be those of the test
	return code, out.String(), errs.String()
}

func want(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, stdout, stderr := moult(t, args...)
	if got != code {
		t.Fatalf("moult %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	if code != 0 && (!strings.Contains(stderr, "error: ") || !strings.Contains(stderr, "\nhint: ")) {
		t.Errorf("moult %s: no error and hint on standard error: %s", strings.Join(args, " "), stderr)
	}
	return stdout
}

// document decodes the one JSON document on standard output.
func document(t *testing.T, stdout string) map[string]any {
	t.Helper()
	var doc map[string]any
	d := json.NewDecoder(strings.NewReader(stdout))
	if err := d.Decode(&doc); err != nil || d.More() || doc["schema"] != 1.0 {
		t.Fatalf("not one document with a schema: %v\n%s", err, stdout)
	}
	return doc
}

// self is the test's own executable.
var self = os.Args[0]

// smallProgram is a small executable to publish: to compress the test's own one takes seconds.
func smallProgram(t *testing.T) string { return build(t, "plain", "-ldflags=-s -w") }

func TestStory(t *testing.T) {
	t.Chdir(t.TempDir())
	said := want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	for _, line := range []string{"feed-keys/root.key", "//go:embed root.json", "cp feed/metadata/1.root.json root.json", "moult publish feed"} {
		if !strings.Contains(filepath.ToSlash(said), line) {
			t.Errorf("init does not say %q:\n%s", line, said)
		}
	}
	root := "--root=feed/metadata/1.root.json"
	if said := want(t, 0, "verify", "feed", root); !strings.Contains(said, "nothing is published yet") {
		t.Errorf("verify of an empty feed: %s", said)
	}
	doc := document(t, want(t, 0, "publish", "feed", smallProgram(t), "--version", "1.0.0", "--notes", "the first", "--json"))
	file := doc["files"].([]any)[0].(map[string]any)
	if file["platform"] != runtime.GOOS+"/"+runtime.GOARCH || file["module"] != "example.com/hello" || doc["channel"] != "beta" {
		t.Errorf("published %v", doc)
	}
	want(t, 1, "publish", "feed", smallProgram(t), "--version", "1.0.0")
	want(t, 1, "publish", "feed", smallProgram(t), "--version", "0.9.0")
	want(t, 0, "publish", "feed", smallProgram(t), "--version", "0.9.0", "--force")
	doc = document(t, want(t, 0, "promote", "feed", "1.0.0", "--json"))
	if in := doc["channels"].([]any); len(in) != 1 || in[0].(map[string]any)["channel"] != "stable" || doc["changed"] != true {
		t.Errorf("promoted %v", doc)
	}
	want(t, 1, "promote", "feed", "7.0.0")
	doc = document(t, want(t, 0, "refresh", "feed", "--json"))
	if n := len(doc["expiries"].([]any)); n != 5 {
		t.Errorf("refresh tells of %d roles", n)
	}
	doc = document(t, want(t, 0, "verify", "feed", root, "--app", "hello", "--json"))
	if ix := doc["indexes"].([]any); len(ix) != 2 || ix[1].(map[string]any)["checked"] != "1.0.0" || ix[1].(map[string]any)["channel"] != "stable" {
		t.Errorf("verified %v", doc)
	}
	want(t, exitVerify, "verify", "feed", root, "--app", "other")
	os.Rename("feed-keys/online.key", "online.key")
	want(t, 1, "refresh", "feed")
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	want(t, 0, "init", "other", "--app", "hello", "--plaintext-keys")
	want(t, 0, "publish", "feed", smallProgram(t), "--version", "1.0.0")
	root := "--root=feed/metadata/1.root.json"
	want(t, exitVerify, "verify", "feed", "--root=other/metadata/1.root.json")
	want(t, exitVerify, "verify", "feed", "--root="+self)
	want(t, exitRetry, "verify", "http://127.0.0.1:1", root)
	for _, pattern := range []string{"targets/1.0.0/*", "targets/beta/*", "metadata/2.targets.json", "metadata/timestamp.json"} {
		files, err := filepath.Glob("feed/" + pattern)
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		good, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		for name, b := range map[string][]byte{"changed": bad, "shorter": good[:len(good)-2], "longer": append(bytes.Clone(good), 'x')} {
			if err := os.WriteFile(files[0], b, 0o644); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := moult(t, "verify", "feed", root); code != exitVerify {
				t.Errorf("%s %s: exit code %d: %s", files[0], name, code, stderr)
			}
		}
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		want(t, exitVerify, "verify", "feed", root)
		if err := os.WriteFile(files[0], good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want(t, 0, "verify", "feed", root)
}

func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	for _, args := range []string{
		"frob", "--frob", "init", "init a", "init a --app ../x --frob", "init a --app hello", "init a b --app hello", "publish feed", "publish feed " + smallProgram(t),
		"publish feed " + smallProgram(t) + " --version one", "publish feed " + smallProgram(t) + " --version 1.0.0 --platform linux",
		"publish feed " + smallProgram(t) + " " + smallProgram(t) + " --version 1.0.0 --platform linux/amd64", "publish feed " + smallProgram(t) + " --version 1.0.0 --channel stabel",
		"promote feed", "promote feed x", "verify", "verify feed", "verify nowhere --root feed/metadata/1.root.json", "minisign sign x", "minisign verify x", "minisign frob",
		"minisign keygen", "init a --app hello --passphrase-file x --passphrase-env y", "refresh",
	} {
		want(t, exitUsage, strings.Fields(args)...)
	}
	doc := document(t, want(t, 1, "init", "feed", "--app", "hello", "--plaintext-keys", "--json"))
	if e := doc["error"].(map[string]any); e["code"] != 1.0 || e["message"] == "" || e["hint"] == "" {
		t.Errorf("a failure's document: %v", doc)
	}
	want(t, 0)
	want(t, 0, "help", "publish")
}

func TestEncryptedKeysByVariable(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SECRET", "correct horse")
	want(t, 0, "init", "feed", "--app", "hello", "--passphrase-env", "SECRET")
	if os.Getenv("SECRET") != "" {
		t.Error("the passphrase is left for children")
	}
	want(t, 1, "refresh", "feed")
	if err := os.WriteFile("secret", []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, 0, "refresh", "feed", "--passphrase-file", "secret")
	want(t, 1, "refresh", "feed", "--passphrase-env", "UNSET_VARIABLE")
}

func TestMinisignStory(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "minisign", "keygen", "--plaintext-key", "--out", "k")
	want(t, 1, "minisign", "keygen", "--plaintext-key", "--out", "k") // never overwritten
	b, err := os.ReadFile(smallProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("hello", b, 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, exitVerify, "minisign", "verify", "hello", "--key", "k.pub") // not signed yet
	want(t, exitVerify, "minisign", "sign", "hello", "--app", "hello", "--version", "1.4.0", "--platform", "plan9/mips", "--key", "k.key")
	want(t, 0, "minisign", "sign", "hello", "--app", "hello", "--version", "v1.4.0", "--key", "k.key")
	doc := document(t, want(t, 0, "minisign", "verify", "hello", "--key", "k.pub", "--json"))
	if doc["app"] != "hello" || doc["version"] != "1.4.0" || doc["platform"] != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("verified %v", doc)
	}
	if err := os.WriteFile("hello", append(b, 0), 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, exitVerify, "minisign", "verify", "hello", "--key", "k.pub")
}
