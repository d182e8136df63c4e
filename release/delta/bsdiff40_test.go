package delta_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/minio/selfupdate"

	"github.com/moult-go/moult/release/delta"
)

// bsdiffFiles are what the patch testdata/moved.bsdiff was made of, by bsdiff 4.3.
func bsdiffFiles() (old, new []byte) {
	old = code(1, 20_000, 0)
	return old, bytes.Join([][]byte{code(1, 20_000, 32)[3000:], []byte("more"), old[:5000]}, nil)
}

func bsdiffPatch(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/moved.bsdiff")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bspatch(old, patch []byte, max delta.Limits) ([]byte, error) {
	var got bytes.Buffer
	err := delta.BSDiff40{Limits: max}.Patch(bytes.NewReader(old), &got, bytes.NewReader(patch))
	return got.Bytes(), err
}

// TestBSDiff40: a patch of bsdiff makes what selfupdate's own reader makes of it.
func TestBSDiff40(t *testing.T) {
	old, new := bsdiffFiles()
	patch := bsdiffPatch(t)
	var want bytes.Buffer
	if err := selfupdate.NewBSDiffPatcher().Patch(bytes.NewReader(old), &want, bytes.NewReader(patch)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Bytes(), new) {
		t.Fatal("selfupdate makes another file: the fixture is not of these files")
	}
	got, err := bspatch(old, patch, limits(old, new, patch))
	if err != nil || !bytes.Equal(got, new) {
		t.Errorf("another file, %v", err)
	}
	var streamed bytes.Buffer
	err = delta.BSDiff40{Limits: limits(old, new, patch)}.Patch(io.MultiReader(bytes.NewReader(old)), &streamed, io.MultiReader(bytes.NewReader(patch)))
	if err != nil || !bytes.Equal(streamed.Bytes(), new) {
		t.Errorf("from streams: another file, %v", err)
	}
}

// TestBSDiff40Program: the same for what the program bsdiff makes here.
func TestBSDiff40Program(t *testing.T) {
	program, err := exec.LookPath("bsdiff")
	if err != nil {
		t.Skip("no bsdiff (Debian package bsdiff)")
	}
	all := pairs()
	for _, name := range []string{"one byte", "identical", "one changed", "blocks shifted"} {
		old, new := all[name][0], all[name][1]
		dir := t.TempDir()
		file := func(n string) string { return filepath.Join(dir, n) }
		if err := errors.Join(os.WriteFile(file("old"), old, 0o600), os.WriteFile(file("new"), new, 0o600)); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, file("old"), file("new"), file("patch")).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		patch, err := os.ReadFile(file("patch"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := bspatch(old, patch, limits(old, new, patch)); err != nil || !bytes.Equal(got, new) {
			t.Errorf("%s: another file, %v", name, err)
		}
	}
}

// TestBSDiff40Refuses: what kills selfupdate's reader, or makes it read what is not there, is an error here, and costs no memory.
func TestBSDiff40Refuses(t *testing.T) {
	old, new := bsdiffFiles()
	good := bsdiffPatch(t)
	set := func(at int, v uint64) []byte { return binary.LittleEndian.AppendUint64(bytes.Clone(good[:at]), v) }
	field := func(at int, v uint64) []byte { return append(set(at, v), good[at+8:]...) }
	for name, c := range map[string]struct {
		patch []byte
		old   []byte
		want  error
	}{
		"new size 2^40":        {patch: field(24, 1<<40), want: delta.ErrTooLarge},
		"new size 2^62":        {patch: field(24, 1<<62), want: delta.ErrTooLarge},
		"new size less":        {patch: field(24, 5), want: delta.ErrMalformed},
		"new size negative":    {patch: field(24, 1<<63|5), want: delta.ErrMalformed},
		"control 2^45":         {patch: field(8, 1<<45), want: delta.ErrMalformed},
		"control negative":     {patch: field(8, 1<<63|32), want: delta.ErrMalformed},
		"differences 2^62":     {patch: field(16, 1<<62), want: delta.ErrMalformed},
		"differences negative": {patch: field(16, 1<<63|1), want: delta.ErrMalformed},
		"the sum overflows":    {patch: field(16, 1<<63-1), want: delta.ErrMalformed},
		"no magic":             {patch: field(0, 0), want: delta.ErrMalformed},
		"control is no bzip2":  {patch: field(32, 0), want: delta.ErrMalformed},
		"cut":                  {patch: good[:len(good)-40], want: delta.ErrMalformed},
		"header only":          {patch: good[:32], want: delta.ErrMalformed},
		"empty":                {patch: []byte{}, want: delta.ErrMalformed},
		"wrong base":           {patch: good, old: old[1:], want: delta.ErrWrongBase},
		"longer than allowed":  {patch: append(bytes.Clone(good), 0), want: delta.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if c.old == nil {
				c.old = old
			}
			max := limits(old, new, good)
			before := allocated()
			got, err := bspatch(c.old, c.patch, max)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if len(got) > 0 {
				t.Errorf("%d bytes were written", len(got))
			}
			if n := allocated() - before; n > 20<<20 {
				t.Errorf("it took %d bytes", n)
			}
		})
	}
}

// TestBSDiff40Triples: each number of a control triple is checked. The stream is what bzip2 makes of the triple, so it needs that program.
func TestBSDiff40Triples(t *testing.T) {
	if _, err := exec.LookPath("bzip2"); err != nil {
		t.Skip("no bzip2")
	}
	const negative = 1 << 63
	old, new := random(1, 1000), random(2, 1000)
	for name, triples := range map[string][]uint64{
		"adds a negative number":        {negative | 1, 0, 0},
		"a negative number makes room":  {negative | 1, 1001, 0},
		"adds more than there is":       {1001, 0, 0},
		"adds 2^62":                     {1 << 62, 0, 0},
		"adds past the end of old":      {0, 1, 999, 2, 0, 0},
		"brings a negative number":      {0, negative | 1, 0, 1000, 0, 0},
		"brings more than there is":     {0, 1001, 0},
		"both together are too many":    {600, 600, 0},
		"seeks before the beginning":    {0, 1, negative | 1, 1, 0, 0},
		"seeks after the end":           {0, 1, 1001, 1, 0, 0},
		"seeks 2^63-1 after one":        {1, 0, 1<<63 - 1, 1, 0, 0},
		"ends too early":                {1, 0},
		"makes nothing, without an end": make([]uint64, 100_000),
	} {
		var raw []byte
		for _, v := range triples {
			raw = binary.LittleEndian.AppendUint64(raw, v)
		}
		c, d, e := bzip2(t, raw), bzip2(t, make([]byte, 1000)), bzip2(t, append(bytes.Clone(new), new...))
		patch := []byte("BSDIFF40")
		patch = binary.LittleEndian.AppendUint64(patch, uint64(len(c)))
		patch = binary.LittleEndian.AppendUint64(patch, uint64(len(d)))
		patch = binary.LittleEndian.AppendUint64(patch, uint64(len(new)))
		patch = bytes.Join([][]byte{patch, c, d, e}, nil)
		if _, err := bspatch(old, patch, limits(old, new, patch)); !errors.Is(err, delta.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		} else if strings.HasPrefix(name, "makes nothing") && !strings.Contains(err.Error(), "without making anything") {
			t.Errorf("%s: it was read to its end: %v", name, err)
		}
	}
}

func bzip2(t *testing.T, b []byte) []byte {
	t.Helper()
	c := exec.Command("bzip2", "-c")
	c.Stdin = bytes.NewReader(b)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// allocated returns the bytes of all that was ever allocated.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}
