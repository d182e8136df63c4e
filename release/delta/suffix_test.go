package delta

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestSuffixArray(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		text := make([]byte, r.IntN(60))
		if round%100 == 0 {
			text = make([]byte, 20000)
		}
		letters := 1 + r.IntN(5)
		if round%3 == 0 {
			letters = 256
		}
		for i := range text {
			text[i] = byte(r.IntN(letters))
		}
		sa := suffixArray(text)
		seen := make([]bool, len(text))
		for i, at := range sa {
			if seen[at] {
				t.Fatalf("%v: %d stands twice in %v", text, at, sa)
			}
			seen[at] = true
			if i > 0 && bytes.Compare(text[sa[i-1]:], text[at:]) >= 0 {
				t.Fatalf("%v: %d and %d are in the wrong order in %v", text, sa[i-1], at, sa)
			}
		}
	}
}
