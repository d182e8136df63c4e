package updater

import (
	"cmp"
	"io"
	"os"
	"slices"

	"github.com/moult-go/moult/release"
)

// way is one payload by which a candidate can be brought here.
type way struct {
	release.Payload
	From release.Digest // of the executable that a delta starts from; zero for the full payload
}

func (w way) isDelta() bool { return !w.From.IsZero() }

// what names a way for people and the log.
func (w way) what() string {
	switch {
	case w.isDelta():
		return "delta"
	case w.Format == release.Raw:
		return "full"
	}
	return "full, " + string(w.Format)
}

// ways returns how c can be brought to a host on which an executable of this digest is installed, best first: the smallest
// delta that starts from it, then the full payload. There is none of a format that this program does not know. That a base
// counts by its digest, and not by its version, leaves those who built theirs themselves with the full payload.
func (c Candidate) ways(installed release.Digest) (list []way) {
	for _, d := range c.Deltas {
		if d.From == installed && d.Format.Known() && d.Length < c.Full.Length {
			list = append(list, way{d.Payload, d.From})
		}
	}
	slices.SortStableFunc(list, func(a, b way) int { return cmp.Compare(a.Length, b.Length) })
	list = list[:min(len(list), 1)]
	if c.Full.Format.Known() {
		list = append(list, way{Payload: c.Full})
	}
	return list
}

// isLearned reports whether the digest of c's executable comes to be known only when its archive is unpacked.
func (c Candidate) isLearned() bool { return c.Member != "" && c.Length == 0 && c.Digest.IsZero() }

// identity is the digest that c counts by: its executable's or, until that is learned, its archive's.
func (c Candidate) identity() release.Digest {
	if c.isLearned() {
		return c.Full.SHA256
	}
	return c.Digest
}

// patcher is the way from selfupdate to our decoders.
type patcher struct {
	d   release.Decoding
	err error
}

// growMost is the longest executable, in bytes, for which the buffer of selfupdate is made at once.
const growMost = 1 << 30

// Patch makes the new executable from the old one and a payload, or from a payload alone.
func (p *patcher) Patch(old io.Reader, to io.Writer, payload io.Reader) error {
	// selfupdate holds the result in a buffer that would double as it grows: up to three times the executable.
	if b, ok := to.(interface{ Grow(int) }); ok && !p.d.Learned() && p.d.Length <= growMost {
		b.Grow(int(p.d.Length))
	}
	if f, ok := old.(*os.File); ok && !p.d.From.IsZero() {
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		p.d.Base, p.d.BaseLength = f, fi.Size()
	}
	p.err = release.Decode(to, payload, p.d)
	return p.err
}
