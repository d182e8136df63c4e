package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"
)

const (
	indexPage    = "index.html"
	notFoundPage = "404.html"
	wellKnown    = ".well-known" // RFC 8615: certificates, security.txt
)

// Options says what to serve. Only Dir is needed.
type Options struct {
	Dir          string // the directory
	List         bool   // list directories that have no index.html; default: they are not there
	CacheControl string // the header of every file; default: none
	Fallback     string // file that answers for pages which do not exist, as single-page applications want; default: 404
}

// Files is a handler. Its methods may be called at the same time.
type Files struct {
	o        Options
	root     *os.Root
	siblings siblings
	now      func() time.Time
}

// Open opens the directory. Close ends what this Files has open.
func Open(o Options) (*Files, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory to serve: %w", err)
	}
	f := &Files{o: o, root: root, now: time.Now}
	if o.Fallback != "" {
		if fi, err := root.Stat(o.Fallback); err != nil || !fi.Mode().IsRegular() {
			root.Close()
			return nil, fmt.Errorf("the fallback %s: no regular file in %s", o.Fallback, o.Dir)
		}
	}
	return f, nil
}

// Close closes the directory. Requests that come later find nothing.
func (f *Files) Close() error { return f.root.Close() }

func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name, ok := fileName(r.URL.Path)
	if !ok {
		f.notFound(w, r)
		return
	}
	directory := strings.HasSuffix(r.URL.Path, "/")
	want := name
	if directory {
		want = path.Join(name, indexPage)
	}
	o, err := f.open(want)
	switch {
	case err == nil && o.info.Mode().IsRegular():
		defer o.file.Close()
		f.serve(w, r, want, o)
	case err == nil:
		o.file.Close()
		if o.info.IsDir() && !directory {
			redirect(w, r)
			return
		}
		f.notFound(w, r)
	case directory && f.o.List && f.list(w, r, name):
	case f.fallback(w, r, name, err):
	default:
		f.notFound(w, r)
	}
}

// opened is a file, and what it was when it was opened.
type opened struct {
	file *os.File
	info fs.FileInfo
}

// open opens a file without waiting, as a named pipe would make it, and looks afterwards at what it got.
func (f *Files) open(name string) (o opened, err error) {
	if o.file, err = f.root.OpenFile(name, os.O_RDONLY|openFlags, 0); err != nil {
		return o, err
	}
	if o.info, err = o.file.Stat(); err != nil {
		o.file.Close()
	}
	return o, err
}

// openRegular is open for regular files only.
func (f *Files) openRegular(name string) (opened, error) {
	o, err := f.open(name)
	if err == nil && !o.info.Mode().IsRegular() {
		o.file.Close()
		err = fs.ErrNotExist
	}
	return o, err
}

// fileName turns the path of a request into one that os.Root takes, and refuses hidden names.
func fileName(p string) (string, bool) {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	name := strings.TrimPrefix(path.Clean(p), "/")
	if name == "" {
		return ".", true
	}
	for i, element := 0, ""; i <= len(name); i += len(element) + 1 {
		element, _, _ = strings.Cut(name[i:], "/")
		if strings.HasPrefix(element, ".") && (i > 0 || element != wellKnown) {
			return "", false
		}
	}
	return name, fs.ValidPath(name) && !strings.ContainsAny(name, "\x00\\")
}

// redirect adds the slash that a directory's own links count on. The path is the last element alone, so that
// "//host" cannot lead elsewhere.
func redirect(w http.ResponseWriter, r *http.Request) {
	to := (&url.URL{Path: "./" + path.Base(r.URL.Path) + "/", RawQuery: r.URL.RawQuery}).String()
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
}

// fallback answers for a page that does not exist. What has an extension is no page: a missing script must not be answered with HTML.
func (f *Files) fallback(w http.ResponseWriter, r *http.Request, name string, err error) bool {
	if f.o.Fallback == "" || !errors.Is(err, fs.ErrNotExist) || path.Ext(name) != "" && name != "." {
		return false
	}
	o, err := f.openRegular(f.o.Fallback)
	if err != nil {
		return false
	}
	defer o.file.Close()
	f.serve(w, r, f.o.Fallback, o)
	return true
}
