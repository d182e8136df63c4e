package delta

import (
	"encoding/binary"
	"math/bits"
	"sort"
)

// step is one instruction: skip in the old file from where the last step ended, take add bytes of it with differences, then extra bytes that
// are new.
type step struct {
	seek, add, extra int64
}

// maxMatch bounds how far two suffixes are compared. A long run that repeats would cost its square otherwise; what is longer is found as
// one piece all the same, for a match is extended afterwards.
const maxMatch = 1 << 15

// index finds the longest match of any bytes in old.
type index struct {
	old   []byte
	sa    []int32
	first []int32 // where the suffixes that begin with two bytes (big-endian) stand
}

func newIndex(old []byte) *index {
	x := &index{old: old, sa: suffixArray(old), first: make([]int32, 1<<16+1)}
	for pair := range x.first {
		x.first[pair] = int32(sort.Search(len(x.sa), func(i int) bool { return x.pair(x.sa[i]) >= pair }))
	}
	return x
}

// pair is the order of a suffix by its first two bytes; one of a single byte comes before all others of that byte.
func (x *index) pair(at int32) int {
	if int(at)+1 == len(x.old) {
		return int(x.old[at]) << 8
	}
	return int(x.old[at])<<8 | int(x.old[at+1])
}

// longest returns where in old the longest match of the beginning of s is, and its length; matches of a byte or none are not worth a look.
func (x *index) longest(s []byte) (at, length int) {
	if len(s) > maxMatch {
		s = s[:maxMatch]
	}
	if len(s) < 2 {
		return 0, 0
	}
	pair := int(s[0])<<8 | int(s[1])
	lo, hi := int(x.first[pair]), int(x.first[pair+1])
	loLen, hiLen := 0, 0 // what the bounds have in common with s, both outside of [lo, hi)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		pos := int(x.sa[mid])
		from := min(loLen, hiLen)
		n := from + common(x.old[pos+from:], s[from:])
		if n > length {
			at, length = pos, n
		}
		if n == len(s) {
			return at, length
		}
		if pos+n == len(x.old) || x.old[pos+n] < s[n] {
			lo, loLen = mid+1, n
		} else {
			hi, hiLen = mid, n
		}
	}
	return at, length
}

// common returns the length of the common beginning of a and b.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < n && a[i] == b[i]; i++ {
	}
	return i
}

// match is a piece of new that resembles a piece of old of the same length.
type match struct {
	old, new, length int
}

// matches finds, for new[begin:end], pieces of old that resemble it, in the order of new and without overlap. This is the search of Colin
// Percival's bsdiff ("Naive differences of executable code", 2003): an exact match that is longer than the current alignment explains
// begins a new piece, and pieces grow from both ends while more than half of their bytes are equal.
func (x *index) matches(new []byte, begin, end int) []match {
	old := x.old
	var found []match
	scan, length, pos := begin, 0, 0
	lastScan, lastPos, lastOffset := begin, min(begin, len(old)), 0
	equal := func(i int) bool { return i+lastOffset >= 0 && i+lastOffset < len(old) && old[i+lastOffset] == new[i] }
	for scan < end {
		score := 0 // how many bytes of the match the last alignment has right as well
		scan += length
		for ahead := scan; scan < end; scan++ {
			pos, length = x.longest(new[scan:end])
			for ; ahead < scan+length; ahead++ {
				if equal(ahead) {
					score++
				}
			}
			if length == score && length != 0 || length > score+8 {
				break
			}
			if equal(scan) {
				score--
			}
		}
		if length == score && scan < end {
			continue
		}

		forward := grow(new[lastScan:min(scan, end)], old[lastPos:])
		backward := 0
		if scan < end {
			backward = growBack(new[lastScan:scan], old[:pos])
		}
		if over := lastScan + forward - (scan - backward); over > 0 {
			keep := split(new[scan-backward:scan-backward+over], old[lastPos+forward-over:], old[pos-backward:])
			forward += keep - over
			backward -= keep
		}
		if forward > 0 {
			found = append(found, match{old: lastPos, new: lastScan, length: forward})
		}
		lastScan, lastPos, lastOffset = scan-backward, pos-backward, pos-scan
	}
	return found
}

// grow returns how much of the beginnings of a and b to take as one piece.
func grow(a, b []byte) int {
	best, length, score := 0, 0, 0
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			score++
		}
		if s := 2*score - (i + 1); s > best {
			best, length = s, i+1
		}
	}
	return length
}

// growBack is grow for the ends of a and b.
func growBack(a, b []byte) int {
	best, length, score := 0, 0, 0
	for i := 1; i <= min(len(a), len(b)); i++ {
		if a[len(a)-i] == b[len(b)-i] {
			score++
		}
		if s := 2*score - i; s > best {
			best, length = s, i
		}
	}
	return length
}

// split returns how many bytes of an overlap to leave to the piece before it.
func split(overlap, before, after []byte) int {
	best, length, score := 0, 0, 0
	for i, c := range overlap {
		if c == before[i] {
			score++
		}
		if c == after[i] {
			score--
		}
		if score > best {
			best, length = score, i+1
		}
	}
	return length
}
