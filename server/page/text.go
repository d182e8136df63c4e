package page

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is shown of one text, in characters. Last words come from a build that failed, and reasons from a feed or a forge: all are hostile.
const (
	maxText  = 300
	maxWords = 4000
	// maxMarks is how many combining marks may follow each other: more of them climb over the lines above.
	maxMarks = 4
)

// clean takes away what is not to be seen: control characters but line ends and tabs, the marks that turn the direction of writing
// or have no width, bytes that are no text. All that the page says goes through it.
func clean(s string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			if marks++; marks > maxMarks {
				return -1
			}
			return r
		}
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			marks = 0
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// short is the beginning of a text, of at most max characters after clean. It takes no more time for a longer text.
func short(s string, max int) string {
	if len(s) > max*utf8.UTFMax*2 {
		s = s[:max*utf8.UTFMax*2]
	}
	s = strings.TrimSpace(clean(s))
	n := 0
	for i := range s {
		if n == max {
			return strings.TrimSpace(s[:i]) + "…"
		}
		n++
	}
	return s
}

// words is the end of what a build said before it died: where a program says why.
func words(s string) string {
	cut := false
	if len(s) > maxWords*utf8.UTFMax*2 {
		s, cut = s[len(s)-maxWords*utf8.UTFMax*2:], true
	}
	s = strings.TrimSpace(clean(s))
	if n := utf8.RuneCountInString(s) - maxWords; n > 0 {
		cut = true
		for ; n > 0; n-- {
			_, size := utf8.DecodeRuneInString(s)
			s = s[size:]
		}
	}
	if cut {
		return "… " + strings.TrimSpace(s)
	}
	return s
}
