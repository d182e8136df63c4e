package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxMetadata is the largest file that is read into memory to name its content.
const maxMetadata = 5 << 20

// static serves a feed as a static file server should, and nothing else that lies in its directory. Its headers are few: what a
// server receives at a check that finds nothing new is little more than them.
type static struct{ root *os.Root }

func (s static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	kind, ok := classify(path)
	if !ok {
		notThere(w)
		return
	}
	if info, err := s.root.Stat(path); err != nil || !info.Mode().IsRegular() {
		notThere(w)
		return
	}
	f, err := s.root.Open(path)
	if err != nil {
		notThere(w)
		return
	}
	defer f.Close()
	content, tag, err := tagged(f, kind)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", kind.cacheControl)
	h.Set("Content-Type", kind.contentType)
	h.Set("ETag", tag)
	// No Last-Modified: two publications in one second are two files.
	http.ServeContent(w, r, "", time.Time{}, content)
}

// tagged names the content of a file: by the digest in its name, or by one of what was read and is then sent.
func tagged(f *os.File, kind feedFile) (content io.ReadSeeker, tag string, err error) {
	if kind.digest != "" {
		return f, quoted(kind.digest), nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMetadata))
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b)
	return bytes.NewReader(b), quoted(hex.EncodeToString(sum[:])), nil
}

func quoted(digest string) string { return `"` + digest[:16] + `"` }

func notThere(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", cacheBriefly)
	w.WriteHeader(http.StatusNotFound)
}
