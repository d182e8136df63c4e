package payload

import (
	"context"
	"io"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/delta"
)

func init() {
	release.RegisterFormat(release.Patch, decodeDelta)
	release.RegisterFormat(release.BSDiff40, decodeBSDiff40)
}

// Delta writes what makes the executable to from the executable from. The same bytes give the same delta. parallel is how many
// goroutines may look for what they have in common. It takes some ten bytes of memory for each of theirs.
func Delta(ctx context.Context, w io.Writer, from, to []byte, parallel int) error {
	return delta.Encode(ctx, w, from, to, delta.Options{Parallel: parallel})
}

func decodeDelta(w io.Writer, payload io.Reader, d release.Decoding) error {
	return delta.Decode(w, d.Base, d.BaseLength, payload, limits(d))
}

func limits(d release.Decoding) delta.Limits {
	return delta.Limits{Patch: d.Size, New: d.Length, From: d.From, To: d.SHA256}
}

func decodeBSDiff40(w io.Writer, payload io.Reader, d release.Decoding) error {
	return delta.BSDiff40{Limits: limits(d)}.Patch(io.NewSectionReader(d.Base, 0, d.BaseLength), w, payload)
}
