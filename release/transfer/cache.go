package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Cache keeps small files with their validators in a directory, so that one that did not change is not sent again. What lies there is
// trusted no more than what a server sends.
type Cache struct {
	c   *Client
	dir string
}

// Cached returns a Cache of what c gets. The directory is made at the first need; nobody else should write there.
func (c *Client) Cached(dir string) *Cache { return &Cache{c, dir} }

// mostCached is how many files are kept; those that were asked for longest ago go first.
const mostCached = 64

// entry is a file of the cache.
type entry struct {
	URL          string      `json:"url"`
	ETag         string      `json:"etag,omitempty"`
	LastModified string      `json:"last_modified,omitempty"`
	Header       http.Header `json:"header,omitempty"` // what a 304 does not repeat
	Body         []byte      `json:"body"`
}

// keptHeaders name the pages that follow one: with a 304 they come again, or not.
var keptHeaders = []string{"Link", "X-Next-Page"}

// Get is Client.Get with the validators of the last time. Its File has a Body in any case; NotModified says that it is the one that was kept.
// A cache that cannot be read or written costs the saving and nothing else.
func (k *Cache) Get(ctx context.Context, u string, limit int64) (File, error) {
	kept := k.load(u, limit)
	f, err := k.c.Get(ctx, u, limit, Validators{kept.ETag, kept.LastModified})
	switch {
	case err != nil:
		return f, err
	case f.NotModified:
		f.Body, f.Header = kept.Body, kept.Header
	case f.Validators != Validators{}:
		kept = entry{URL: u, ETag: f.ETag, LastModified: f.LastModified, Header: http.Header{}, Body: f.Body}
		for _, h := range keptHeaders {
			if v := f.Header.Values(h); len(v) > 0 {
				kept.Header[h] = v
			}
		}
	default:
		return f, nil
	}
	k.store(kept)
	return f, nil
}

func (k *Cache) file(u string) string {
	d := sha256.Sum256([]byte(u))
	return filepath.Join(k.dir, hex.EncodeToString(d[:12])+".json")
}

// load returns nothing where something is wrong with what was kept.
func (k *Cache) load(u string, limit int64) (e entry) {
	fi, err := os.Lstat(k.file(u))
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > 2*limit+8<<10 { // base64 takes a third more
		return entry{}
	}
	b, err := os.ReadFile(k.file(u))
	if err != nil || json.Unmarshal(b, &e) != nil || e.URL != u || int64(len(e.Body)) > limit {
		return entry{}
	}
	return e
}

// store writes what is no loss if it does not arrive.
func (k *Cache) store(e entry) {
	b, err := json.Marshal(e)
	if err != nil || os.MkdirAll(k.dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(k.dir, ".tmp-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), k.file(e.URL))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	k.prune()
}

// prune removes the oldest files beyond the limit, and what an earlier process left half-written.
func (k *Cache) prune() {
	entries, err := os.ReadDir(k.dir)
	if err != nil || len(entries) <= mostCached {
		return
	}
	age := func(e os.DirEntry) int64 {
		fi, err := e.Info()
		if err != nil || strings.HasPrefix(e.Name(), ".") {
			return 0
		}
		return fi.ModTime().UnixNano()
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return int(min(max(age(a)-age(b), -1), 1)) })
	for _, e := range entries[:len(entries)-mostCached] {
		os.Remove(filepath.Join(k.dir, e.Name()))
	}
}
