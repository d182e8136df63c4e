package tuf

import (
	"net/http"
	"strings"
	"testing"
)

// TestWrongTagHoldsNobody: a server that says "not modified" whatever has happened is asked without a condition now and then.
func TestWrongTagHoldsNobody(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	f.setLie(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/timestamp.json") && r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
		return false
	})
	f.publish("1.1.0", "beta", "two")
	for range maxUnchanged {
		wantNewest(t, c, "beta", "1.0.0")
	}
	wantNewest(t, c, "beta", "1.1.0")
}
