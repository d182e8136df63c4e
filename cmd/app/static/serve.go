package static

import (
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"time"
)

// serve answers with a regular file, or with the sibling of it that the client likes best.
func (f *Files) serve(w http.ResponseWriter, r *http.Request, name string, o opened) {
	h := w.Header()
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if f.o.CacheControl != "" {
		h["Cache-Control"] = []string{f.o.CacheControl}
	}
	if have := f.siblingsOf(name); have != 0 {
		h["Vary"] = []string{"Accept-Encoding"}
		if e, ok := choose(r.Header["Accept-Encoding"], have); ok {
			if s, err := f.openRegular(name + encodings[e].suffix); err == nil {
				defer s.file.Close()
				if fresh(s.info, o.info) {
					h["Content-Type"] = []string{contentType(name, o.file)}
					h["Content-Encoding"] = []string{encodings[e].name}
					w, o = &sized{ResponseWriter: w, size: s.info.Size()}, s
				}
			}
		}
	}
	h["Etag"] = []string{etag(o.info, f.now())}
	if o.info.Size() <= small {
		w = together{w}
	}
	http.ServeContent(w, r, name, o.info.ModTime(), &content{File: o.file, size: o.info.Size()})
}

// small is the size up to which a file leaves with its header in one write: sendfile would send it after the header, by a call of its own,
// and mostly in a packet of its own.
const small = 3 << 10

// together hides ReadFrom, which sends files by sendfile.
type together struct{ http.ResponseWriter }

func (t together) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// contentType is what http.ServeContent would say of the original, whose sibling is sent.
func contentType(name string, file *os.File) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	var b [512]byte // as much as DetectContentType looks at
	n, _ := io.ReadFull(file, b[:])
	return http.DetectContentType(b[:n])
}

// sized says how long a whole encoded file is: http.ServeContent does not, for the sake of handlers that compress what it writes. Without it
// the answer is chunked, which sendfile cannot send.
type sized struct {
	http.ResponseWriter
	size int64
}

func (s *sized) WriteHeader(code int) {
	if code == http.StatusOK {
		s.Header()["Content-Length"] = []string{strconv.FormatInt(s.size, 10)}
	}
	s.ResponseWriter.WriteHeader(code)
}

// ReadFrom keeps sendfile.
func (s *sized) ReadFrom(r io.Reader) (int64, error) { return io.Copy(s.ResponseWriter, r) }

func (s *sized) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// content is a file whose size is known: the two seeks with which http.ServeContent asks for it need no system call.
type content struct {
	*os.File
	size  int64
	moved bool // from where it was opened
}

func (c *content) Read(b []byte) (int, error) {
	c.moved = true
	return c.File.Read(b)
}

func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekEnd && offset == 0 && !c.moved:
		return c.size, nil
	case whence == io.SeekStart && offset == 0 && !c.moved:
		return 0, nil
	}
	c.moved = true
	return c.File.Seek(offset, whence)
}

// young is how old a file has to be for its time to tell two writes apart: file systems count in ticks of 10 ms, or of 2 s.
const young = 2 * time.Second

// notFound answers 404, with the directory's own page if it has one.
func (f *Files) notFound(w http.ResponseWriter, r *http.Request) {
	o, err := f.openRegular(notFoundPage)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer o.file.Close()
	h := w.Header()
	h.Set("Content-Type", contentType(notFoundPage, o.file))
	h.Set("Content-Length", strconv.FormatInt(o.info.Size(), 10))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		io.CopyN(w, o.file, o.info.Size())
	}
}
