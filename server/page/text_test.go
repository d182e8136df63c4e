package page

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/moult-go/moult/updater"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, 1.2.3 → ü 漢 ✓":        "plain text, 1.2.3 → ü 漢 ✓",
		"two\nlines\tand a tab":            "two\nlines\tand a tab",
		"\x1b[31mred\x1b[0m\a\x00":         "[31mred[0m",
		"\u202egnp.exe\u2066\u200f":        "gnp.exe",
		"zero\u200bwidth\ufeff\u2028line":  "zerowidthline",
		"bad \xff\xfe":                     "bad \uFFFD",
		"over\r\nwritten\rline":            "over\nwrittenline",
		"a" + strings.Repeat("\u0301", 50): "a" + strings.Repeat("\u0301", maxMarks),
		"\u0085next\u009b31m":              "next31m",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestShortAndWords(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	if got := short(long, 10); got != strings.Repeat("é", 10)+"…" {
		t.Errorf("short: %q", got)
	}
	if got := words("first " + long + " last"); !strings.HasSuffix(got, " last") || !strings.HasPrefix(got, "… é") || utf8.RuneCountInString(got) > maxWords+2 {
		t.Errorf("words: %d characters", utf8.RuneCountInString(got))
	}
}

// FuzzClean: whatever comes in, what goes out has nothing in it that acts on a terminal or turns a line around.
func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;title\a\u202e\xff", 5)
	f.Add("<script>alert(1)</script>", 300)
	f.Add(strings.Repeat("\u0301", 100), 20)
	f.Fuzz(func(t *testing.T, s string, max int) {
		max %= 5000
		if max < 1 {
			return
		}
		for _, out := range []string{clean(s), short(s, max), words(s)} {
			if !utf8.ValidString(out) {
				t.Errorf("%q is no text", out)
			}
			for _, r := range out {
				if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
					t.Errorf("%q has %U", out, r)
				}
			}
		}
		if n := utf8.RuneCountInString(short(s, max)); n > max+1 {
			t.Errorf("%d characters, want %d", n, max)
		}
		if n := utf8.RuneCountInString(words(s)); n > maxWords+2 {
			t.Errorf("%d characters of last words", n)
		}
		if again := clean(clean(s)); again != clean(s) {
			t.Errorf("clean twice: %q", again)
		}
	})
}

// TestHostileWords: what a failed build, a feed, a release manager or an operator wrote does nothing on the page.
func TestHostileWords(t *testing.T) {
	evil := "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b]0;pwned\a\x1b[2J\u202e\u2066\"' onclick=alert(1) {{.S}} \r\n\u2028</pre></main><h1>fake"
	s := full()
	a := updater.Attempt{ID: "u-9", Kind: "upgrade", From: evil, To: evil, Ended: time.Now(), Outcome: evil, Reason: evil, Step: updater.Phase(evil),
		Words: strings.Repeat("A", 1<<20) + evil, By: &updater.Asker{User: evil}}
	s.history = append(s.history, a)
	s.st.RestartError, s.st.App, s.st.Version, s.st.State = evil, evil, evil, evil
	s.st.Settings[0].Value = strings.Repeat("B", 1<<20)
	u := s.st.Updater
	u.Last, u.Source, u.CheckError, u.Disk, u.Key = &a, evil, evil, evil, evil
	u.Hold = &updater.Hold{Reason: evil, By: evil}
	u.Quarantine[0].Version = evil
	s.check.Notes, s.check.Version = evil, evil
	for _, place := range []Place{Public, Socket} {
		b := visit(t, Options{Server: s, Operator: s, Place: place})
		_, body := b.do("GET", "/", nil)
		bodies := []string{body}
		if place == Socket {
			_, asked := b.do("POST", "/upgrade", nil)
			bodies = append(bodies, asked)
		}
		for _, body := range bodies {
			for _, bad := range []string{"<script>", "<img src=x", "\x1b", "\a", "\u202e", "\u2066", "\u2028", "\r", "</pre></main>", "<h1>fake", `" onclick`} {
				if strings.Contains(body, bad) {
					t.Errorf("place %d: the page has %q", place, bad)
				}
			}
			if len(body) > 64<<10 {
				t.Errorf("place %d: %d bytes", place, len(body))
			}
		}
	}
}
