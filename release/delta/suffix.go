package delta

// suffixArray returns the beginnings of all suffixes of text in their lexical order. It is SA-IS (Nong, Zhang and Chan, "Linear suffix
// array construction by almost pure induced-sorting", 2009): linear in time, and four bytes for each byte of text beside it.
// index/suffixarray has the same inside and does not give it out; its Lookup cannot find a longest match.
func suffixArray(text []byte) []int32 {
	sa := make([]int32, len(text))
	sortSuffixes(text, sa, 256)
	return sa
}

// sortSuffixes fills sa for s, whose symbols are below k. An end that is smaller than any symbol is understood.
func sortSuffixes[T byte | int32](s []T, sa []int32, k int) {
	n := len(s)
	if n < 2 {
		clear(sa)
		return
	}
	b := buckets[T]{s: s, size: make([]int32, k), at: make([]int32, k)}
	for _, c := range s {
		b.size[c]++
	}

	// Sort the substrings between leftmost smaller ones (LMS), by inducing from their first symbols.
	fill(sa, -1)
	b.tails()
	count := 0
	eachLMS(s, func(i int) {
		b.at[s[i]]--
		sa[b.at[s[i]]] = int32(i)
		count++
	})
	b.induce(sa)
	if count == 0 {
		return
	}

	// Give each a name, its rank; equal ones get the same. The names stand at half their position: two are never neighbours.
	m := 0
	names := sa[count:]
	isLMS := make([]uint64, n/64+1)
	eachLMS(s, func(i int) { isLMS[i/64] |= 1 << (i % 64) })
	for _, i := range sa {
		if isLMS[i/64]>>(i%64)&1 == 1 {
			sa[m] = i
			m++
		}
	}
	fill(names, -1)
	ranks := nameLMS(s, sa[:count], names, isLMS)

	// Their order is the order of the suffixes that begin there: of a shorter text, if names repeat.
	reduced := make([]int32, 0, count)
	for _, name := range names {
		if name >= 0 {
			reduced = append(reduced, name)
		}
	}
	order := sa[:count]
	if ranks < count {
		sortSuffixes(reduced, order, ranks)
	} else {
		for i, name := range reduced {
			order[name] = int32(i)
		}
	}
	where := reduced
	i := count
	eachLMS(s, func(at int) { i--; where[i] = int32(at) })
	for i, o := range order {
		order[i] = where[o]
	}

	// With those in order, all else is induced.
	fill(sa[count:], -1)
	b.tails()
	for i := count - 1; i >= 0; i-- {
		at := sa[i]
		sa[i] = -1
		b.at[s[at]]--
		sa[b.at[s[at]]] = at
	}
	b.induce(sa)
}

// nameLMS writes to names, at half its position, the rank of each of the sorted LMS substrings, and returns how many differ.
func nameLMS[T byte | int32](s []T, sorted, names []int32, isLMS []uint64) int {
	rank, last := -1, -1
	for _, at := range sorted {
		if i := int(at); last < 0 || !sameLMS(s, last, i, isLMS) {
			rank++
			last = i
		}
		names[at/2] = int32(rank)
	}
	return rank + 1
}

// sameLMS reports whether the LMS substrings at i and j are the same.
func sameLMS[T byte | int32](s []T, i, j int, isLMS []uint64) bool {
	for d := 0; ; d++ {
		if i+d >= len(s) || j+d >= len(s) || s[i+d] != s[j+d] {
			return false
		}
		if d > 0 {
			a, b := isLMS[(i+d)/64]>>((i+d)%64)&1, isLMS[(j+d)/64]>>((j+d)%64)&1
			if a == 1 || b == 1 {
				return a == b
			}
		}
	}
}

// eachLMS calls f with the positions of s whose suffix is smaller than the next one and whose predecessor's is larger, from the end.
func eachLMS[T byte | int32](s []T, f func(i int)) {
	smaller := false
	for i := len(s) - 2; i >= 0; i-- {
		was := smaller
		smaller = s[i] < s[i+1] || s[i] == s[i+1] && was
		if was && !smaller {
			f(i + 1)
		}
	}
}

// buckets are the ranges of a suffix array by first symbol.
type buckets[T byte | int32] struct {
	s        []T
	size, at []int32
}

func (b *buckets[T]) heads() {
	var sum int32
	for c, n := range b.size {
		b.at[c] = sum
		sum += n
	}
}

func (b *buckets[T]) tails() {
	var sum int32
	for c, n := range b.size {
		sum += n
		b.at[c] = sum
	}
}

// induce sorts all suffixes of sa, in which the LMS ones stand in order at the ends of their buckets: first those that are larger than
// their next, from the left, then those that are smaller, from the right.
func (b *buckets[T]) induce(sa []int32) {
	s, at := b.s, b.at
	b.heads()
	last := int32(len(s) - 1)
	sa[at[s[last]]] = last
	at[s[last]]++
	for i := 0; i < len(sa); i++ {
		if j := sa[i] - 1; j >= 0 {
			if c := s[j]; c >= s[j+1] {
				sa[at[c]] = j
				at[c]++
			}
		}
	}
	b.tails()
	for i := len(sa) - 1; i >= 0; i-- {
		if j := sa[i] - 1; j >= 0 {
			c, next := s[j], s[j+1]
			if c < next || c == next && int32(i) >= at[c] {
				at[c]--
				sa[at[c]] = j
			}
		}
	}
}

func fill(s []int32, v int32) {
	for i := range s {
		s[i] = v
	}
}
