package accesslog

import (
	"math/rand/v2"
	"net/http"
	"strings"
)

const (
	requestID = "X-Request-Id"
	longestID = 128
)

// identify returns the request's identity, and gives it one if it has none that is fit for a log.
func identify(r *http.Request) string {
	if ids := r.Header[requestID]; len(ids) == 1 && wellFormed(ids[0]) {
		return ids[0]
	}
	const hex = "0123456789abcdef"
	var b [16]byte
	for i, n := 0, rand.Uint64(); i < len(b); i, n = i+1, n>>4 {
		b[i] = hex[n&15]
	}
	id := string(b[:])
	r.Header[requestID] = []string{id}
	return id
}

func wellFormed(id string) bool {
	return id != "" && len(id) <= longestID && !strings.ContainsFunc(id, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.:+/=", c))
	})
}

// traceparent returns the request's, as W3C Trace Context has it, or "".
func traceparent(r *http.Request) string {
	t := r.Header["Traceparent"]
	if len(t) != 1 || len(t[0]) < 55 || len(t[0]) > longestID {
		return ""
	}
	for i, c := range []byte(t[0]) {
		dash := i == 2 || i == 35 || i == 52
		if dash != (c == '-') && i < 55 || !dash && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || i >= 55 && c == '-') {
			return ""
		}
	}
	return t[0]
}
