package delta_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/delta"
)

// TestRefuses: each field of the header, a wrong base, and a patch that is cut, longer or larger has its own error, before a byte is written.
func TestRefuses(t *testing.T) {
	old := random(1, 100_000)
	new := bytes.Join([][]byte{old[:50_000], []byte("more"), old[50_000:]}, nil)
	good := encode(t, old, new)
	set := func(at int, b ...byte) []byte {
		p := bytes.Clone(good)
		copy(p[at:], b)
		return p
	}
	size := func(at int, n uint64) []byte { return set(at, binary.LittleEndian.AppendUint64(nil, n)...) }
	for name, c := range map[string]struct {
		old, patch []byte
		limits     func(*delta.Limits)
		want       error
	}{
		"another file":            {patch: set(0, 'P'), want: delta.ErrMalformed},
		"a later version":         {patch: set(8, 2), want: delta.ErrUnsupported},
		"a reserved transform":    {patch: set(9, 1), want: delta.ErrUnsupported},
		"another reserved one":    {patch: set(9, 2), want: delta.ErrUnsupported},
		"an unknown transform":    {patch: set(9, 77), want: delta.ErrUnsupported},
		"reserved bytes":          {patch: set(10, 1), want: delta.ErrMalformed},
		"old size":                {patch: size(12, 1<<40), want: delta.ErrWrongBase},
		"old size beyond int64":   {patch: size(12, 1<<63), want: delta.ErrMalformed},
		"old digest":              {patch: set(20, 1, 2, 3), want: delta.ErrWrongBase},
		"new size 2^40":           {patch: size(52, 1<<40), want: delta.ErrTooLarge},
		"new size beyond int64":   {patch: size(52, 1<<63), want: delta.ErrMalformed},
		"new size less":           {patch: size(52, 1), want: delta.ErrMalformed},
		"new digest":              {patch: set(60, 1, 2, 3), want: delta.ErrDigest},
		"wrong base":              {old: append([]byte{old[0] + 1}, old[1:]...), patch: good, want: delta.ErrWrongBase},
		"longer base":             {old: append(bytes.Clone(old), 0), patch: good, want: delta.ErrWrongBase},
		"empty":                   {patch: []byte{}, want: delta.ErrMalformed},
		"goes on":                 {patch: append(bytes.Clone(good), 0), want: delta.ErrMalformed},
		"limits of a shorter one": {patch: good, want: delta.ErrTooLarge, limits: func(l *delta.Limits) { l.Patch-- }},
		"no limits":               {patch: good, want: delta.ErrTooLarge, limits: func(l *delta.Limits) { *l = delta.Limits{} }},
		"limits of another":       {patch: good, want: delta.ErrDigest, limits: func(l *delta.Limits) { l.To = release.Digest{1} }},
		"limits from another":     {patch: good, want: delta.ErrWrongBase, limits: func(l *delta.Limits) { l.From = release.Digest{1} }},
		"limits of less":          {patch: good, want: delta.ErrTooLarge, limits: func(l *delta.Limits) { l.New-- }},
		"limits of more":          {patch: good, want: delta.ErrMalformed, limits: func(l *delta.Limits) { l.New++ }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.old == nil {
				c.old = old
			}
			l := limits(old, new, c.patch)
			if c.limits != nil {
				c.limits(&l)
			}
			got, err := decode(c.old, c.patch, l)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if len(got) > 0 {
				t.Errorf("%d bytes were written", len(got))
			}
		})
	}
}

// TestCut: a patch that breaks off anywhere is malformed, and nothing past a damaged byte is taken for good.
func TestCut(t *testing.T) {
	old := code(1, 64<<10, 0)
	new := append(code(1, 64<<10, 32), "more"...)
	good := encode(t, old, new)
	for n := range good {
		if _, err := decode(old, good[:n], limits(old, new, good)); !errors.Is(err, delta.ErrMalformed) {
			t.Fatalf("%d of %d bytes: %v", n, len(good), err)
		}
		bad := bytes.Clone(good)
		bad[n] ^= 0x55
		if got, err := decode(old, bad, limits(old, new, good)); err == nil && !bytes.Equal(got, new) {
			t.Fatalf("byte %d changed: another file and no error", n)
		}
	}
}

func TestPatcher(t *testing.T) {
	old := random(1, 100_000)
	new := append(bytes.Clone(old), "more"...)
	patch := encode(t, old, new)
	p := delta.Patcher{Limits: limits(old, new, patch)}
	for name, r := range map[string]io.Reader{"in place": bytes.NewReader(old), "a stream": io.MultiReader(bytes.NewReader(old))} {
		var got bytes.Buffer
		if err := p.Patch(r, &got, bytes.NewReader(patch)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if sha256.Sum256(got.Bytes()) != sha256.Sum256(new) {
			t.Errorf("%s: made another file", name)
		}
	}
}
