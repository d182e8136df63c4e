//go:build unix

package cmd_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/moult-go/moult/server/admin"
)

// example is a command of the page, and what it prints.
type example struct {
	command, kind, answer string
}

var examples = regexp.MustCompile("(?s)```sh\n(.*?)\n```\n\n```(json|text)\n(.*?)```")

// TestAdminAPI sends every request of docs/reference/admin-api.md to a real server, in the order of the page, and compares the answers: each has the
// fields that the page shows, of the same type, and no others; words are the same, as far as they are not about a time, a number or a path.
func TestAdminAPI(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	page, err := os.ReadFile("../docs/reference/admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	sock := apiServer(t)
	found := examples.FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "```sh"); n != len(found) || n < 15 {
		t.Fatalf("%d commands, %d of them with an answer", n, len(found))
	}
	for _, m := range found {
		e := example{m[1], m[2], m[3]}
		cmd := exec.Command("sh", "-c", strings.Replace(e.command, "curl ", "curl --silent --show-error ", 1))
		cmd.Env = append(os.Environ(), "SOCK="+sock)
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(e.command, "--max-time") {
			t.Fatalf("%s: %v\n%s", e.command, err, out)
		}
		if err := e.compare(string(out)); err != nil {
			t.Errorf("%s\n%v; it answers\n%s", e.command, err, out)
		}
	}
}

// apiServer starts version 1.0.0, with 2.0.0 to be had, and returns the path of its socket.
func apiServer(t *testing.T) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := newStory(t, bin)
	for _, step := range []func() error{
		func() error { return s.keys(nil, nil) },
		func() error { return s.install(nil, []string{"1.0.0"}) },
		func() error {
			return s.start(os.Environ(), []string{"--watch", "drop/app", "--minisign-key", "key.pub", "--interval", "-1s", "--probation", "600ms", "--hup-probation", "600ms"})
		},
		func() error { return s.drop(nil, []string{"2.0.0"}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	var list []admin.Instance
	if !until(func() bool { list, err = admin.Instances(filepath.Join(s.dir, "opt", ".app.d")); return len(list) == 1 }) {
		t.Fatalf("servers %v, %v", list, err)
	}
	var state struct{ Admin string }
	if !until(func() bool {
		b, err := os.ReadFile(filepath.Join(s.dir, "opt", ".app.d", "state.json"))
		return err == nil && json.Unmarshal(b, &state) == nil && state.Admin == list[0].Admin
	}) {
		t.Errorf("the state file names the socket %q, not %q", state.Admin, list[0].Admin)
	}
	return list[0].Admin
}

// newStory is a story without a script.
func newStory(t *testing.T, bin string) *story {
	t.Helper()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	one := &served{addr: addr, log: "log"}
	s := &story{dir: t.TempDir(), bin: bin, served: one, all: []*served{one}, originals: map[string][]byte{}}
	for _, d := range []string{"opt", "drop", "www"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.end)
	return s
}

// compare finds what the page shows in what was answered, in this order.
func (e example) compare(got string) error {
	if e.kind == "text" {
		for line := range strings.Lines(e.answer) {
			_, after, ok := strings.Cut(got, strings.TrimSuffix(line, "\n"))
			if !ok {
				return fmt.Errorf("there is no %q, or too early", line)
			}
			got = after
		}
		return nil
	}
	want, err := documents(e.answer)
	if err != nil {
		return err
	}
	have, err := documents(got)
	if err != nil {
		return err
	}
	if len(want) == 1 && len(have) != 1 {
		return fmt.Errorf("%d documents, want one", len(have))
	}
	for _, w := range want {
		err := fmt.Errorf("nothing more")
		for len(have) > 0 && err != nil {
			err = sameShape("", w, have[0])
			have = have[1:]
		}
		if err != nil {
			return fmt.Errorf("there is no document %v, or too early: %w", w, err)
		}
	}
	if len(have) > 0 {
		return fmt.Errorf("the page ends before %v", have[0])
	}
	return nil
}

func documents(text string) (list []any, err error) {
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := d.Decode(&v); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// more is the field of a document on the page that has others in truth.
const more = "…"

// sameShape compares an answer with the one on the page.
func sameShape(at string, want, got any) error {
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return fmt.Errorf("%s is %v, want something like %v", at, got, want)
	}
	switch w := want.(type) {
	case map[string]any:
		g := got.(map[string]any)
		for k := range g {
			if _, ok := w[k]; !ok && w[more] == nil {
				return fmt.Errorf("%s.%s is not on the page", at, k)
			}
		}
		for k, v := range w {
			if k == more {
				continue
			}
			if _, ok := g[k]; !ok {
				return fmt.Errorf("%s has no %s", at, k)
			}
			if err := sameShape(at+"."+k, v, g[k]); err != nil {
				return err
			}
		}
	case []any:
		g := got.([]any)
		for i := range min(len(w), len(g)) {
			if err := sameShape(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); err != nil {
				return err
			}
		}
	case string:
		if personal := strings.HasSuffix(at, ".by") || strings.HasSuffix(at, ".user"); w != got && !personal && !strings.ContainsFunc(w, varies) && !strings.HasPrefix(w, "/") {
			return fmt.Errorf("%s is %q, want %q", at, got, w)
		}
	case bool:
		if w != got {
			return fmt.Errorf("%s is %v, want %v", at, got, w)
		}
	}
	return nil
}

func varies(r rune) bool { return unicode.IsDigit(r) }
