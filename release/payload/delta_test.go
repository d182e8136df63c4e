package payload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

const (
	oldText = "hello, old world\n"
	newText = "hello, new world, and more\n"
	// patchText makes one from the other; written by hand after bsdiff's manual page.
	patchText = `QlNESUZGNDArAAAAAAAAAC4AAAAAAAAAGwAAAAAAAABCWmg5MUFZJlNZcMsWpwAABeAASAhAACAAMM00GMilrji7kinChIOGWLU4QlpoOTFBWSZTWfUMZTUAAADg
ANgACAAAIKAAISTCDAI2BdvF3JFOFCQ9QxlNQEJaaDkxQVkmU1kvG9fmAAAB0YAAEEAEJgOQACAAIgaaaaEAMCCMTtc/F3JFOFCQLxvX5g==`
)

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }

func TestDeltaFormats(t *testing.T) {
	bsdiff, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(patchText, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	var delta bytes.Buffer
	if err := Delta(context.Background(), &delta, []byte(oldText), []byte(newText), 1); err != nil {
		t.Fatal(err)
	}
	for format, patch := range map[release.Format][]byte{release.Patch: delta.Bytes(), release.BSDiff40: bsdiff} {
		good := release.Decoding{
			Format: format, Size: int64(len(patch)), Length: int64(len(newText)), SHA256: sha256.Sum256([]byte(newText)),
			From: sha256.Sum256([]byte(oldText)), Base: strings.NewReader(oldText), BaseLength: int64(len(oldText)),
		}
		for name, tc := range map[string]struct {
			change func(*release.Decoding)
			patch  []byte
			ok     bool
		}{
			"good":        {func(*release.Decoding) {}, patch, true},
			"wrong base":  {func(d *release.Decoding) { d.Base = strings.NewReader(strings.ToUpper(oldText)) }, patch, false},
			"short base":  {func(d *release.Decoding) { d.BaseLength-- }, patch, false},
			"other from":  {func(d *release.Decoding) { d.From = d.SHA256 }, patch, false},
			"more wanted": {func(d *release.Decoding) { d.Length++ }, patch, false},
			"less wanted": {func(d *release.Decoding) { d.Length-- }, patch, false},
			"another":     {func(d *release.Decoding) { d.SHA256 = d.From }, patch, false},
			"cut off":     {func(d *release.Decoding) { d.Size -= 40 }, patch, false},
			"nothing":     {func(*release.Decoding) {}, nil, false},
		} {
			d := good
			tc.change(&d)
			for _, in := range []io.Reader{bytes.NewReader(tc.patch), onlyReader{bytes.NewReader(tc.patch)}} {
				var got bytes.Buffer
				err := release.Decode(&got, in, d)
				if tc.ok && (err != nil || got.String() != newText) || !tc.ok && (err == nil || !errors.Is(err, release.ErrPayload) && !errors.Is(err, release.ErrDigest)) {
					t.Errorf("%s, %s: %q, %v", format, name, got.String(), err)
				}
			}
		}
	}
}
