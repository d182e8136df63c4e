package static

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	f, dir := tree(t, Options{List: true})
	for _, name := range []string{"<b>&\"'", "100%.txt", "javascript:x", "z y", ".hidden", "b"} {
		if err := os.WriteFile(filepath.Join(dir, "bare", name), nil, 0o644); err != nil {
			t.Skip(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "bare/dir"), 0o755)
	os.Symlink("../../secret", filepath.Join(dir, "bare/out"))
	res := get(f, "GET", "/bare/")
	page := body(t, res)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || res.Header.Get("Content-Security-Policy") == "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	at := 0
	for _, link := range []string{`"../"`, `"./dir/"`, `"./100%25.txt"`, `"./%3Cb%3E&amp;%22%27"`, `"./b"`, `"./javascript:x"`, `"./x"`, `"./z%20y"`} {
		i := strings.Index(page, "href="+link)
		if i < at {
			t.Errorf("%s is missing, or before its turn, in\n%s", link, page)
		}
		at = i
	}
	for _, no := range []string{"hidden", "<b>", "out", "<script"} {
		if strings.Contains(page, no) {
			t.Errorf("%q in\n%s", no, page)
		}
	}
	if top := body(t, get(f, "GET", "/")); top != "home" {
		t.Errorf("a directory with an index page: %q", top)
	}
	if res := get(f, "GET", "/bare"); res.StatusCode != 301 {
		t.Errorf("without the slash: %d", res.StatusCode)
	}
	for _, path := range []string{"/up/", "/.git/", "/nothing/", "/a.txt/"} {
		if res := get(f, "GET", path); res.StatusCode != 404 {
			t.Errorf("%s: %d, want 404", path, res.StatusCode)
		}
	}
	os.Remove(filepath.Join(dir, "index.html"))
	if top := body(t, get(f, "GET", "/")); strings.Contains(top, `"../"`) || !strings.Contains(top, `"./a.txt"`) || strings.Contains(top, "secret") {
		t.Errorf("the top:\n%s", top)
	}
	if res := get(f, "HEAD", "/bare/"); res.StatusCode != 200 || body(t, res) != "" {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}
