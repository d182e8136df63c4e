package tuf

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is wrong with bytes, by what else is known of a file: targets have a signed length and digest, and are no metadata; some
// metadata has a signed length and digest; the rest has signatures alone.
type grip struct{ target, pinned bool }

func gripOn(kind string) grip {
	switch kind {
	case "index", "payload", "brake":
		return grip{target: true, pinned: true}
	case "snapshot", "targets", "brake metadata":
		return grip{pinned: true}
	}
	return grip{}
}

func (k grip) want(metadata, pinned error, target ...error) []error {
	switch {
	case k.target:
		return target
	case k.pinned:
		return []error{metadata, pinned}
	}
	return []error{metadata}
}

func zipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func withHeader(name, value string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(name, value)
		h(w, r)
	}
}

func drip(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "{")
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path, http.StatusFound)
}

// longer announces a terabyte.
func longer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(1<<40))
	endless(w, r)
}

// half sends half of b, having announced all of it, and hangs up.
func half(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b[:len(b)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

var (
	versionField = regexp.MustCompile(`"version": ?\d+`)
	expiresField = regexp.MustCompile(`"(expires|published)": ?"[^"]*"`)
)

// byteAttacks are those that need no key at all: each at each file.
func byteAttacks(s *scene) (all []attack) {
	bomb := zipped(make([]byte, 32<<20))
	deep := []byte(strings.Repeat("[", 15<<10))
	for _, kind := range slices.Sorted(maps.Keys(fileKinds)) {
		b, k := s.files[kind], gripOn(kind)
		add := func(name string, want []error, h http.HandlerFunc) {
			all = append(all, attack{name: name + "/" + kind, lie: at(kind, h), want: want})
		}
		malformed := k.want(ErrMalformed, ErrOversized, ErrTruncated, ErrOversized, ErrDigestMismatch)
		for name, junk := range map[string]string{"empty": "", "null": "null", "list": "[]", "object": "{}", "unsigned null": `{"signed":null,"signatures":[]}`,
			"no signed part": `{"signatures":[]}`, "not json": "\x00\xff\x7fELF", "string": `"signed"`} {
			add("wrong type: "+name, malformed, bytesOf([]byte(junk)))
		}
		other := s.files["timestamp"]
		if kind == "timestamp" {
			other = s.files["snapshot"]
		}
		add("wrong type: another role", malformed, bytesOf(other))
		add("wrong type: zeros", malformed, bytesOf(make([]byte, len(b))))
		add("wrong type: deep nesting", malformed, bytesOf(deep))
		add("truncated", malformed, bytesOf(b[:len(b)/2]))
		add("truncated: cut off", []error{ErrTruncated, ErrUnreachable}, half(b))
		add("endless data", []error{ErrOversized}, endless)
		add("endless data: announced", []error{ErrOversized}, longer)
		add("endless data: gzip bomb", []error{ErrMalformed}, withHeader("Content-Encoding", "gzip", bytesOf(bomb)))
		add("wrong type: gzip, said so", []error{ErrMalformed}, withHeader("Content-Encoding", "gzip", bytesOf(zipped(b))))
		add("wrong type: gzip, not said", malformed, bytesOf(zipped(b)))
		add("wrong type: html", []error{ErrHTML}, html)
		add("malicious mirror: redirects for ever", []error{ErrRedirect}, redirect)
		for _, code := range []int{408, 429, 500, 502, 503} {
			add("denial of service: status "+strconv.Itoa(code), []error{ErrUnreachable}, status(code))
		}
		if kind != "next root" { // where it says that there is none
			for _, code := range []int{403, 404, 410} {
				add("malicious mirror: status "+strconv.Itoa(code), []error{ErrNotFound}, status(code))
			}
		}
		if kind != "payload" { // which is no text
			add("wrong type: html, disguised", []error{ErrHTML}, disguisedHTML)
			changed := k.want(ErrBadSignature, ErrDigestMismatch, ErrDigestMismatch)
			i := expiresField.FindIndex(b)
			if i != nil {
				flip := bytes.Clone(b)
				flip[i[1]-3] ^= 1
				add("arbitrary installation: changed after signing", changed, bytesOf(flip))
			}
			if !k.target {
				add("wrong type: huge integer", malformed, bytesOf(versionField.ReplaceAll(b, []byte(`"version":123456789012345678901234567890`))))
				add("wrong type: fraction", malformed, bytesOf(versionField.ReplaceAll(b, []byte(`"version":1.5`))))
				twice := []error{ErrBadSignature}
				if k.pinned {
					twice = []error{ErrOversized}
				}
				add("duplicate keys: the last one lies", twice, bytesOf(expiresField.ReplaceAll(b, []byte(`$0,"expires":"2099-01-01T00:00:00Z"`))))
				add("duplicate keys: in other letters", twice, bytesOf(expiresField.ReplaceAll(b, []byte(`$0,"Expires":"2099-01-01T00:00:00Z"`))))
				add("no signatures", k.want(ErrBadSignature, ErrDigestMismatch), bytesOf(signatures.ReplaceAll(b, []byte(`"signatures":[]`))))
				add("null signatures", k.want(ErrMalformed, ErrDigestMismatch), bytesOf(signatures.ReplaceAll(b, []byte(`"signatures":[null,null]`))))
				add("one null signature", k.want(ErrBadSignature, ErrDigestMismatch), bytesOf(signatures.ReplaceAll(b, []byte(`"signatures":[null]`))))
			}
		}
		all = append(all, attack{name: "slow retrieval/" + kind, lie: at(kind, drip), want: []error{ErrUnreachable}, timeout: 250 * time.Millisecond})
	}
	return all
}
