package static

import (
	"io/fs"
	"strings"
	"sync"
	"time"
)

// encodings are those of siblings, the one first that we like best: it wins among equals of the client.
var encodings = [...]struct{ name, suffix string }{{"zstd", ".zst"}, {"br", ".br"}, {"gzip", ".gz"}}

// set has bit i for encodings[i].
type set uint8

const (
	lookAgain  = time.Second // after which siblings are looked for again
	mostCached = 1 << 14     // names of which is known which siblings they have
)

// siblings remembers what there was: three files that are not there would cost as much as the one that is.
type siblings struct {
	mu    sync.RWMutex
	known map[string]sighting
}

type sighting struct {
	at   time.Time
	have set
}

// siblingsOf says which siblings an existing file has.
func (f *Files) siblingsOf(name string) set {
	now := f.now()
	f.siblings.mu.RLock()
	seen, ok := f.siblings.known[name]
	f.siblings.mu.RUnlock()
	if age := now.Sub(seen.at); ok && age >= 0 && age < lookAgain {
		return seen.have
	}
	seen = sighting{at: now, have: f.look(name)}
	f.siblings.mu.Lock()
	defer f.siblings.mu.Unlock()
	if f.siblings.known == nil || len(f.siblings.known) >= mostCached {
		f.siblings.known = map[string]sighting{}
	}
	f.siblings.known[name] = seen
	return seen.have
}

func (f *Files) look(name string) (have set) {
	for i, e := range encodings {
		if strings.HasSuffix(name, e.suffix) {
			return 0 // it is one itself
		}
		if fi, err := f.root.Stat(name + e.suffix); err == nil && fi.Mode().IsRegular() {
			have |= 1 << i
		}
	}
	return have
}

// fresh reports whether a sibling is not older than its original, in seconds: that is what tools which keep the time keep of it.
func fresh(sibling, original fs.FileInfo) bool {
	return sibling.ModTime().Unix() >= original.ModTime().Unix()
}

// choose returns the best of the encodings that there are, by Accept-Encoding (RFC 9110, 12.5.3), or false for the original.
func choose(accept []string, have set) (best int, ok bool) {
	const unsaid = -1
	var q [len(encodings)]int
	for i := range q {
		q[i] = unsaid
	}
	identity, rest := unsaid, unsaid
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(element, ";")
			weight, valid := quality(parameters)
			if !valid {
				continue
			}
			switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
			case "*":
				rest = weight
			case "identity":
				identity = weight
			case "x-gzip":
				coding = "gzip"
				fallthrough
			default:
				for i, e := range encodings {
					if e.name == coding {
						q[i] = weight
					}
				}
			}
		}
	}
	most := 0
	for i := range encodings {
		if q[i] == unsaid {
			q[i] = rest
		}
		if have&(1<<i) != 0 && q[i] > most {
			best, most = i, q[i]
		}
	}
	return best, most > 0 && most >= identity
}

// quality reads the parameters of a coding: its weight in thousandths, 1000 if there is none.
func quality(parameters string) (int, bool) {
	p := strings.Trim(parameters, " \t")
	if p == "" {
		return 1000, true
	}
	name, value, _ := strings.Cut(p, "=")
	if !strings.EqualFold(strings.TrimRight(name, " \t"), "q") {
		return 0, false
	}
	value = strings.TrimLeft(value, " \t")
	whole, decimals, _ := strings.Cut(value, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	n := int(whole[0] - '0')
	for i := range 3 {
		n *= 10
		if i < len(decimals) {
			if decimals[i] < '0' || decimals[i] > '9' {
				return 0, false
			}
			n += int(decimals[i] - '0')
		}
	}
	return n, n <= 1000
}
