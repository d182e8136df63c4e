//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release/tuf"
)

// Every way of naming a key and its passphrase, for the online key: a refresh needs nothing else.
func TestKeySources(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("INIT_PASS", "correct horse")
	want(t, 0, "init", "feed", "--app", "hello", "--root-keys", "stick", "--passphrase-for", "online=env:INIT_PASS")
	if err := os.Mkdir("trust", 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) string {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	write("trust/root.json", read("feed-keys/root.json"))
	sealed := write("sealed.pem", read("feed-keys/online.key"))
	write("pass", "correct horse\n")
	write("wrong", "battery staple\n")
	secretLine := strings.Split(read(sealed), "\n")[1]
	key, err := tuf.LoadKey(sealed, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := tuf.MarshalPublicKey(key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	write("online.pub", string(pem))
	write("other.pub", strings.Repeat("00", 32))
	secrets := []string{secretLine, "correct horse", "battery staple"}
	for name, tc := range map[string]struct {
		args string
		code int
		says string
	}{
		"a file, passphrase in a file":    {"--online-key sealed.pem --passphrase-file pass", 0, ""},
		"a file, passphrase of its own":   {"--online-key sealed.pem --passphrase-for online=pass", 0, ""},
		"its own one wrong":               {"--online-key sealed.pem --passphrase-for online=wrong --passphrase-file pass", 0, ""},
		"a variable":                      {"--online-key env:ONLINE --passphrase-env PASS", 0, ""},
		"a variable, passphrase printed":  {"--online-key env:ONLINE --passphrase-cmd=cat<pass", 0, ""},
		"printed":                         {"--online-key cmd:cat<sealed.pem --passphrase-for online=cmd:cat<pass", 0, ""},
		"a passphrase for another role":   {"--online-key sealed.pem --passphrase-for targets=pass", 1, "passphrase"},
		"no passphrase":                   {"--online-key sealed.pem", 1, "passphrase"},
		"a wrong passphrase":              {"--online-key sealed.pem --passphrase-file wrong", 1, "passphrase"},
		"an empty variable":               {"--online-key env:NOTHING", 1, "variable NOTHING"},
		"no file":                         {"--online-key none.pem", 1, "key not there"},
		"no key in it":                    {"--online-key cmd:echo --passphrase-file pass", 4, "no PEM block"},
		"a command that fails":            {"--online-key cmd:cat<sealed.pem;echo>&2,the,vault,is,sealed;exit,3", 1, ",the,vault,is,sealed"},
		"a passphrase command that fails": {"--online-key sealed.pem --passphrase-cmd cat<pass;exit,1", 1, "exit status"},
		"too much":                        {"--online-key cmd:cat</dev/zero", 1, "more than 65536 bytes"},
		"a key on the command line":       {"--online-key -----BEGIN" + secretLine, 2, "never given on the command line"},
		"two passphrases":                 {"--passphrase-file pass --passphrase-env PASS", 2, "exclude"},
		"a passphrase for nobody":         {"--passphrase-for pass", 2, "root=SOURCE"},
		"sign without a command":          {"--online-key sign:online.pub", 2, "sign:PUBLICKEYFILE:COMMAND"},
		"sign, and prints nonsense":       {"--online-key sign:online.pub:echo", 4, "no signature"},
		"sign, by another key":            {"--online-key sign:online.pub:head,-c64,/dev/zero", 4, "does not verify"},
		"sign, the feed trusts another":   {"--online-key sign:other.pub:true", 1, "other keys are trusted"},
	} {
		t.Setenv("ONLINE", read(sealed))
		t.Setenv("PASS", "correct horse")
		args := []string{"refresh", "feed", "--keys", "trust"}
		for _, a := range strings.Fields(tc.args) {
			if strings.Contains(a, ":") {
				a = strings.ReplaceAll(a, ",", " ")
			}
			args = append(args, a)
		}
		code, said := outputs(t, secrets, args...)
		if code != tc.code || !strings.Contains(said, strings.ReplaceAll(tc.says, ",", " ")) && !strings.Contains(said, tc.says) {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, tc.code, said)
		}
		if strings.Contains(tc.args, "env:ONLINE") && os.Getenv("ONLINE") != "" {
			t.Errorf("%s: the variable is left for children", name)
		}
	}
}

// A command that signs, as a token's would, by openssl: raw, in hexadecimal and in base64.
func TestKeyThatSignsByACommand(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl, which plays the token: ", err)
	}
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	if out, err := exec.Command("openssl", "pkey", "-in", "feed-keys/online.key", "-pubout", "-out", "online.pub").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename("feed-keys/online.key", "token"); err != nil {
		t.Fatal(err)
	}
	const sign = "cat >message && openssl pkeyutl -sign -inkey token -rawin -in message"
	for name, how := range map[string]string{"raw": "", "hexadecimal": " | od -An -vtx1 | tr -d ' \\n'", "base64": " | base64"} {
		if code, said := outputs(t, nil, "refresh", "feed", "--online-key", "sign:online.pub:"+sign+how); code != 0 {
			t.Errorf("%s: %s", name, said)
		}
	}
	want(t, 1, "refresh", "feed", "--online-key", "sign:online.pub:echo no finger on the token >&2; false")
	want(t, 0, "verify", "feed", "--root", "feed/metadata/1.root.json")
}

// No secret is in what commands inherit, whichever was named first.
func TestCommandsInheritNoSecret(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SECRET", "correct horse")
	want(t, 0, "init", "feed", "--app", "hello", "--root-keys", "stick", "--passphrase-for", "targets=env:SECRET")
	text, err := os.ReadFile("feed-keys/online.key")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET", "correct horse")
	t.Setenv("ONLINE", string(text))
	want(t, 0, "refresh", "feed", "--targets-key", "cmd:env >seen; cat feed-keys/targets.key", "--online-key", "env:ONLINE", "--passphrase-for", "targets=cmd:env >>seen; echo correct horse", "--passphrase-env", "SECRET")
	seen, err := os.ReadFile("seen")
	if err != nil || !strings.Contains(string(seen), "PATH=") || strings.Contains(string(seen), "correct horse") || strings.Contains(string(seen), "PRIVATE KEY") {
		t.Errorf("a command saw: %s, %v", seen, err)
	}
}

// A command that hangs is ended with everything that it started.
func TestCommandEnds(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := runCommand(ctx, "sleep 300 & echo $! >"+filepath.Join(dir, "pid")+"; wait", nil)
		done <- err
	}()
	var pid string
	for limit := time.Now().Add(20 * time.Second); pid == "" && time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		b, _ := os.ReadFile(filepath.Join(dir, "pid"))
		pid = strings.TrimSpace(string(b))
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	for limit := time.Now().Add(20 * time.Second); exec.Command("kill", "-0", pid).Run() == nil; time.Sleep(10 * time.Millisecond) {
		if state, _ := os.ReadFile("/proc/" + pid + "/stat"); strings.Contains(string(state), ") Z ") {
			break // dead, and nobody here reaps orphans
		}
		if time.Now().After(limit) {
			t.Fatalf("process %s is left", pid)
		}
	}
}
