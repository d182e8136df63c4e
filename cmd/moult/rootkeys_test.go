package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outputs runs a command line and fails if a secret is in what it said.
func outputs(t *testing.T, secrets []string, args ...string) (code int, said string) {
	t.Helper()
	code, stdout, stderr := moult(t, args...)
	said = stdout + stderr
	for _, s := range secrets {
		if s != "" && strings.Contains(said, s) {
			t.Errorf("moult %s: a secret is in its output:\n%s", strings.Join(args, " "), said)
		}
	}
	return code, said
}

// Three people hold a root key each, two must sign: one file goes from one to the other.
func TestThreePeopleSign(t *testing.T) {
	t.Chdir(t.TempDir())
	people := []string{"ann", "bob", "eve"}
	var secrets []string
	for _, p := range people {
		if err := os.WriteFile(p+".pass", []byte("the words of "+p), 0o600); err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, "the words of "+p)
	}
	said := want(t, 0, "init", "feed", "--app", "hello", "--root-keys", "ann", "--root-keys", "bob", "--root-keys", "eve", "--root-threshold", "2",
		"--passphrase-for", "root=ann.pass", "--passphrase-for", "root=bob.pass", "--passphrase-for", "root=eve.pass")
	for _, line := range []string{"ann/root.key", "eve/root.key", "2 root keys must sign"} {
		if !strings.Contains(filepath.ToSlash(said), line) {
			t.Errorf("init does not say %q:\n%s", line, said)
		}
	}
	root := "--root=feed/metadata/1.root.json"
	for _, p := range people {
		b, err := os.ReadFile(filepath.Join(p, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.Split(string(b), "\n")[1])
	}

	// Alone one cannot change anything.
	if code, said := outputs(t, secrets, "root", "rotate", "feed", "online", "--root-key", "ann/root.key", "--passphrase-for", "root=ann.pass", "--yes"); code != 1 || !strings.Contains(said, "--file") {
		t.Errorf("one of two: exit code %d: %s", code, said)
	}
	if _, err := os.Stat("feed-keys/online-2.key"); err == nil {
		t.Error("a key is left of it")
	}
	doc := document(t, want(t, 0, "root", "rotate", "feed", "online", "--file", "change.json", "--json"))
	if doc["published"] != false || doc["missing"].(map[string]any)["before"] != 2.0 || !strings.HasSuffix(doc["created"].(string), "online-2.key") {
		t.Errorf("begun: %v", doc)
	}
	want(t, 1, "root", "publish", "feed", "change.json")
	sign := func(code int, who string, more ...string) string {
		t.Helper()
		got, said := outputs(t, secrets, append([]string{"root", "sign", "change.json", "--root-key", who + "/root.key", "--passphrase-for", "root=" + who + ".pass"}, more...)...)
		if got != code {
			t.Fatalf("%s signs: exit code %d, want %d: %s", who, got, code, said)
		}
		return said
	}
	if said := sign(exitUsage, "ann"); !strings.Contains(said, "add online key") || !strings.Contains(said, "--yes") {
		t.Errorf("no terminal to ask on: %s", said)
	}
	sign(0, "ann", "--yes")
	if said := sign(0, "ann", "--yes"); !strings.Contains(said, "has signed before") {
		t.Errorf("twice: %s", said)
	}
	want(t, 1, "root", "publish", "feed", "change.json")
	// On a machine that knows another feed only, Eve does not sign.
	want(t, 0, "init", "other", "--app", "hello", "--plaintext-keys")
	sign(exitVerify, "eve", "--yes", "--root", "other/metadata/1.root.json")
	// Somebody on the way slips a change in.
	good, err := os.ReadFile("change.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("change.json", []byte(strings.Replace(string(good), `"version": 2`, `"version": 3`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	sign(exitVerify, "eve", "--yes")
	if err := os.WriteFile("change.json", good, 0o644); err != nil {
		t.Fatal(err)
	}
	if said := sign(0, "eve", "--yes"); !strings.Contains(said, "moult root publish") {
		t.Errorf("the last one is not told what is next: %s", said)
	}
	if doc := document(t, want(t, 0, "root", "show", "change.json", "--json")); len(doc["signed"].([]any)) != 2 {
		t.Errorf("show: %v", doc)
	}
	want(t, 0, "root", "publish", "feed", "change.json")
	want(t, 0, "root", "publish", "feed", "change.json") // it is done
	if err := os.Remove("feed-keys/online.key"); err != nil {
		t.Fatal(err)
	}
	want(t, 0, "refresh", "feed")
	want(t, 0, "verify", "feed", root) // the program that embeds the first root follows
	doc = document(t, want(t, 0, "root", "show", "feed", "--json"))
	if b, _ := json.Marshal(doc["roles"]); doc["version"] != 2.0 || !strings.Contains(string(b), `"role":"root","threshold":2`) && !strings.Contains(string(b), `"threshold":2`) {
		t.Errorf("show: %s", b)
	}
}

// With the one root key at hand each change is one command.
func TestRootCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--root-keys", "stick")
	root := "--root=feed/metadata/1.root.json"
	key := []string{"--root-key", "stick/root.key"}
	step := func(code int, args ...string) string {
		t.Helper()
		return want(t, code, append(append([]string{"root"}, args...), key...)...)
	}
	id := func(role int) string {
		doc := document(t, want(t, 0, "root", "show", "feed", "--json"))
		return doc["roles"].([]any)[role].(map[string]any)["keys"].([]any)[0].(string)
	}
	step(exitUsage, "refresh", "feed") // no terminal to ask on
	step(0, "refresh", "feed", "--yes")
	step(0, "rotate", "feed", "online", "--yes")
	step(0, "rotate", "feed", "targets", "--yes")
	for _, old := range []string{"feed-keys/online.key", "feed-keys/targets.key"} {
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
	}
	step(0, "rotate", "feed", "targets", "--yes") // by the targets key that was new
	want(t, 0, "refresh", "feed")
	want(t, 0, "verify", "feed", root)

	// A second root key, then the first one goes.
	want(t, 1, "root", "keygen", "second.key")
	want(t, 0, "root", "keygen", "second.key", "--plaintext-key")
	step(1, "revoke", "feed", "root", id(0)[:10], "--yes")
	step(1, "threshold", "feed", "root", "2", "--yes")
	step(0, "add", "feed", "root", "second.key.pub", "--yes")
	step(0, "threshold", "feed", "targets", "1", "--yes")
	step(1, "threshold", "feed", "targets", "2", "--yes")
	step(1, "threshold", "feed", "online", "2", "--yes")
	first := id(0)
	step(1, "add", "feed", "online", "second.key", "--yes") // the root key for both
	key = []string{"--root-key", "second.key"}
	step(0, "revoke", "feed", "root", first[:10], "--yes")
	key = []string{"--root-key", "stick/root.key"}
	step(1, "refresh", "feed", "--yes")
	want(t, 0, "verify", "feed", root)
	if b, err := os.ReadFile("feed-keys/root.json"); err != nil || !strings.Contains(string(b), `"version":`) || strings.Contains(string(b), first) {
		t.Errorf("the copy of the root did not follow: %v", err)
	}
	for _, args := range []string{"add feed root", "add feed boss second.key.pub", "rotate feed root --yes", "threshold feed root two", "revoke feed root", "sign", "sign x", "publish feed", "frob"} {
		want(t, exitUsage, append([]string{"root"}, strings.Fields(args)...)...)
	}
}

// A change that several steps make up is one file; a step that alters it voids what was signed.
func TestChangeInSteps(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--root-keys", "stick")
	file := []string{"--file", "change.json"}
	for _, p := range []string{"ann", "bob"} {
		want(t, 0, "root", "keygen", p+".key", "--plaintext-key")
		want(t, 0, append([]string{"root", "add", "feed", "root", p + ".key.pub"}, file...)...)
	}
	sign := func(key string) {
		t.Helper()
		want(t, 0, "root", "sign", "change.json", "--root-key", key, "--root", "feed/metadata/1.root.json", "--yes")
	}
	sign("stick/root.key")
	doc := document(t, want(t, 0, append([]string{"root", "threshold", "feed", "root", "2", "--json"}, file...)...))
	if len(doc["signed"].([]any)) != 0 || doc["missing"].(map[string]any)["after"] != 2.0 {
		t.Errorf("after another step: %v", doc)
	}
	sign("stick/root.key")
	sign("bob.key")
	want(t, 0, "root", "publish", "feed", "change.json")
	want(t, exitVerify, append([]string{"root", "refresh", "feed"}, file...)...) // the file is of yesterday
	if said := want(t, 0, "root", "show", "feed"); !strings.Contains(said, "root: 2 of 3 must sign") {
		t.Errorf("show: %s", said)
	}
}

// Keys that exist are named at init; root and online keys do not come to lie together in plain text.
func TestInitWithNamedKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, k := range []string{"a/root.pem", "a/online.pem", "b/root.pem"} {
		if err := os.MkdirAll(filepath.Dir(k), 0o755); err != nil {
			t.Fatal(err)
		}
		want(t, 0, "root", "keygen", k, "--plaintext-key")
	}
	want(t, exitUsage, "init", "feed", "--app", "hello", "--root-key", "a/root.pem", "--online-key", "a/online.pem")
	want(t, exitUsage, "init", "feed", "--app", "hello", "--online-key", "a/online.pem", "--root-keys", "a")
	want(t, exitUsage, "init", "feed", "--app", "hello")
	want(t, 1, "init", "feed", "--app", "hello", "--root-key", "b/root.pem", "--online-key", "b/root.pem", "--plaintext-keys")
	if _, err := os.Stat("feed"); err == nil {
		t.Error("a refusal left something")
	}
	doc := document(t, want(t, 0, "init", "feed", "--app", "hello", "--root-key", "b/root.pem", "--online-key", "a/online.pem", "--json"))
	if len(doc["root_keys"].([]any)) != 0 || len(doc["online_keys"].([]any)) != 0 || len(doc["targets_keys"].([]any)) != 1 {
		t.Errorf("made %v", doc)
	}
	want(t, 1, "refresh", "feed")
	want(t, 0, "refresh", "feed", "--online-key", "a/online.pem")
}
