package cmd_test

import (
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a piece of a page that is no prose: between fences, or a comment <!-- setup … --> with commands that the reader needs not see.
//
//   - sh is typed into one shell, from the page's first block to its last. A command that ends with & is a server: what follows waits until it listens.
//   - text that follows sh is what that printed. … stands for anything, on a line of its own for any lines.
//   - Anything else whose first line is a comment with the name of a file is written to that file.
//
// What is none of these has a comment above it that says why: <!-- not run: … -->, or <!-- from FILE --> for what that file of this module has,
// word for word, and where it is tested. A page with <!-- run by TestX --> has a test of its own.
type block struct {
	line             int
	lang, mark, text string
}

// file is the name on the first line of a block: "// main.go", "# hello.toml".
func (b block) file() string {
	m := regexp.MustCompile(`^(?://|#|;) ([\w./-]+\.\w+|\w*Dockerfile|Containerfile)\n`).FindStringSubmatch(b.text)
	if m == nil || b.lang == "sh" || b.lang == "text" {
		return ""
	}
	return m[1]
}

// marked returns what the mark says after a word.
func (b block) marked(word string) (string, bool) {
	rest, ok := strings.CutPrefix(b.mark, word)
	return strings.TrimSpace(rest), ok
}

// blocks takes a page apart.
func blocks(page string) (list []block, err error) {
	const setup = "<!-- setup\n"
	var b *block
	end, mark := "", ""
	n := 0
	for line := range strings.Lines(page) {
		n++
		switch {
		case b != nil && strings.TrimRight(line, "\n") == end:
			list = append(list, *b)
			b, mark = nil, ""
		case b != nil:
			b.text += line
		case line == setup:
			b, end = &block{line: n, lang: "sh"}, "-->"
		case strings.HasPrefix(line, "```"):
			b, end = &block{line: n, lang: strings.TrimSpace(line[3:]), mark: mark}, "```"
		case strings.HasPrefix(line, "<!-- ") && strings.HasSuffix(line, " -->\n"):
			if mark = strings.TrimSuffix(strings.TrimPrefix(line, "<!-- "), " -->\n"); strings.HasPrefix(mark, "long:") || strings.HasPrefix(mark, "needs:") {
				mark = "" // it is about the page
			}
		default:
			mark = ""
		}
	}
	if b != nil {
		return nil, fmt.Errorf("the block of line %d has no end", b.line)
	}
	return list, nil
}

// generated are pages whose text comes from a program's help.
func generated(page string) bool {
	return strings.HasPrefix(page, "../docs/reference/moult") || strings.HasPrefix(page, "../docs/reference/app")
}

// TestBlocks: each block of a page is run, or says why it is not; what it has from a file is there; Go is formatted as it should be.
func TestBlocks(t *testing.T) {
	have := tests(t)
	for _, page := range pages(t) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if by := regexp.MustCompile(`(?m)^<!-- run by (Test\w+) -->$`).FindSubmatch(b); generated(page) || by != nil {
			if by != nil && !have[string(by[1])] {
				t.Errorf("%s: there is no %s", page, by[1])
			}
			continue
		}
		if m := regexp.MustCompile(`(?m)^\n {4,}\S.*`).FindString(outside(string(b))); m != "" {
			t.Errorf("%s: a block without fences: %s", page, strings.TrimSpace(m))
		}
		list, err := blocks(string(b))
		if err != nil {
			t.Errorf("%s: %v", page, err)
		}
		for i, b := range list {
			if err := b.check(list[:i]); err != nil {
				t.Errorf("%s:%d: %v", page, b.line, err)
			}
		}
	}
}

// outside is a page without its fenced blocks, and without the items of lists, whose further lines are indented.
func outside(page string) string {
	page = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	return regexp.MustCompile(`(?m)^(?:[-*]|\d+\.) .*(?:\n+ +\S.*)*`).ReplaceAllString(page, "")
}

func (b block) check(before []block) error {
	if b.lang == "go" && b.file() != "" {
		formatted, err := format.Source([]byte(b.text))
		if err != nil {
			return err
		}
		if string(formatted) != b.text {
			return fmt.Errorf("gofmt would write\n%s", formatted)
		}
	}
	if reason, ok := b.marked("not run:"); ok {
		if len(reason) < 10 {
			return fmt.Errorf("it is not run; why?")
		}
		return nil
	}
	if name, ok := b.marked("from "); ok {
		file, err := os.ReadFile(filepath.Join("..", name))
		if err == nil && !strings.Contains(unindented(string(file)), unindented(b.text)) {
			err = fmt.Errorf("%s does not have it", name)
		}
		return err
	}
	switch {
	case b.lang == "sh", b.file() != "":
		return nil
	case b.lang == "text" && len(before) > 0 && before[len(before)-1].lang == "sh" && before[len(before)-1].mark == "":
		return nil
	}
	return fmt.Errorf("this %s block is neither run, nor marked with <!-- not run: REASON --> or <!-- from FILE -->", b.lang)
}

// unindented is text without the white space around its lines, and without empty ones.
func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// TestShows: what a page shows is compared with what is printed as people would.
func TestShows(t *testing.T) {
	for _, c := range []struct {
		shown, printed string
		same           bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "b\n", false},
		{"a  b\n", "a b\n", true},
		{"pid …, since … ago\n", "pid 12, since 4s ago\n", true},
		{"pid …\n", "pod 12\n", false},
		{"a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"a\n…\nd\n", "a\nd\n", true},
		{"a\n…\nd\n", "a\nb\n", false},
		{"a\n", "a\nb\n", false},
		{"…\nb\n", "a\nb\n", true},
		{"a\n", "a\n\n", true},
	} {
		if got := shows(c.shown, c.printed); got != c.same {
			t.Errorf("%q for %q: %t", c.shown, c.printed, got)
		}
	}
}

// shows tells if a page that shows the one text is right about the other. Runs of blanks count as one: columns are as wide as what is in them.
func shows(shown, printed string) bool {
	blanks := regexp.MustCompile(`[ \t]+`)
	var re strings.Builder
	re.WriteString(`(?s)^`)
	for line := range strings.Lines(shown) {
		if line = strings.TrimSpace(blanks.ReplaceAllString(line, " ")); line == "…" {
			re.WriteString(`(?:[^\n]*\n)*`)
			continue
		}
		re.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + `\n`)
	}
	var lines strings.Builder
	for line := range strings.Lines(strings.TrimRight(printed, "\n")) {
		lines.WriteString(strings.TrimSpace(blanks.ReplaceAllString(line, " ")) + "\n")
	}
	return regexp.MustCompile(re.String() + `$`).MatchString(lines.String())
}

// TestFilesPage: docs/reference/files.md has every field of state.json and of a line of history.
func TestFilesPage(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/files.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for file, types := range map[string][]string{"journal.go": {"state", "record"}, "status.go": {"Attempt", "Asker", "Kept", "Quarantined"}, "quarantine.go": {"failure"}, "hold.go": {"Hold"}} {
		source, err := os.ReadFile("../updater/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range types {
			_, body, ok := strings.Cut(string(source), "\ntype "+name+" struct {\n")
			body, _, _ = strings.Cut(body, "\n}\n")
			if !ok {
				t.Errorf("%s has no %s", file, name)
			}
			for _, m := range regexp.MustCompile("`json:\"(\\w+)").FindAllStringSubmatch(body, -1) {
				if fields++; !strings.Contains(string(page), "`"+m[1]+"`") {
					t.Errorf("the page does not have %s of %s", m[1], name)
				}
			}
		}
	}
	if fields < 30 {
		t.Errorf("%d fields", fields)
	}
}
