package static

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// mostListed bounds what a directory of millions can make us hold.
const mostListed = 10_000

//go:embed list.html
var listText string

var listPage = template.Must(template.New("list").Parse(listText))

// entry is one line of a listing.
type entry struct {
	Name string
	Link string
	Size int64
	Time time.Time
	Dir  bool
}

// list answers with the names in a directory, and returns false if it cannot be read.
func (f *Files) list(w http.ResponseWriter, r *http.Request, name string) bool {
	o, err := f.open(name)
	if err != nil {
		return false
	}
	defer o.file.Close()
	if !o.info.IsDir() {
		return false
	}
	found, err := o.file.ReadDir(mostListed)
	if err != nil && err != io.EOF {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if r.Method == http.MethodHead {
		return true
	}
	listPage.Execute(w, struct {
		Path    string
		Top     bool
		Cut     bool
		Entries []entry
	}{"/" + strings.TrimPrefix(name, "."), name == ".", len(found) == mostListed, f.entries(name, found)})
	return true
}

// entries are what can be served: directories and regular files without a dot in front, directories first, by name.
func (f *Files) entries(dir string, found []fs.DirEntry) (list []entry) {
	for _, d := range found {
		name := path.Join(dir, d.Name())
		if clean, ok := fileName(name); !ok || clean != name {
			continue
		}
		fi, err := f.root.Stat(name) // follows links, and tells those that lead outside
		if err != nil || !fi.IsDir() && !fi.Mode().IsRegular() {
			continue
		}
		e := entry{Name: d.Name(), Link: "./" + url.PathEscape(d.Name()), Size: fi.Size(), Time: fi.ModTime().UTC(), Dir: fi.IsDir()}
		if e.Dir {
			e.Name, e.Link = e.Name+"/", e.Link+"/"
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int {
		if a.Dir != b.Dir {
			if a.Dir {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return list
}
