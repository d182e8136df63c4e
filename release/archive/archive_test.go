package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// member is one of an archive that a test makes up.
type member struct {
	name string
	kind byte // of tar; 0 for a regular file
	body string
}

func tarGzip(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(m.body))}
		if m.kind != 0 {
			h.Typeflag, h.Size, h.Linkname, m.body = m.kind, 0, "/etc/passwd", ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(0o755)
		if m.body == "" {
			h.Method = zip.Store // a compressor for each would take seconds
		}
		if m.kind != 0 {
			h.SetMode(os.ModeSymlink | 0o777)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(f release.Format, archive []byte) (string, error) {
	var got bytes.Buffer
	err := release.Decode(&got, bytes.NewReader(archive), release.Decoding{Format: f, Size: int64(len(archive)), Member: "hello"})
	return got.String(), err
}

func TestUnpack(t *testing.T) {
	many := make([]member, maxMembers+1)
	for i := range many {
		many[i].name = fmt.Sprint("f", i)
	}
	zeros := strings.Repeat("\x00", 8<<20)
	for name, tc := range map[string]struct {
		members []member
		want    error
	}{
		"alone":             {[]member{{"hello", 0, "program"}}, nil},
		"among others":      {[]member{{"README.md", 0, "read"}, {"hello_1.4.0/hello", 0, "program"}, {"hello_1.4.0/helloctl", 0, "x"}, {"hello/", tar.TypeDir, ""}}, nil},
		"not there":         {[]member{{"README.md", 0, "read"}, {"hello.exe", 0, "x"}}, release.ErrPayload},
		"no members":        {nil, release.ErrPayload},
		"twice":             {[]member{{"a/hello", 0, "program"}, {"b/hello", 0, "other"}}, release.ErrPayload},
		"link":              {[]member{{"hello", tar.TypeSymlink, "/bin/sh"}}, release.ErrPayload},
		"link, then file":   {[]member{{"hello", tar.TypeSymlink, "/etc/passwd"}, {"hello", 0, "program"}}, release.ErrPayload},
		"path leads out":    {[]member{{"../hello", 0, "program"}}, release.ErrPayload},
		"another leads out": {[]member{{"hello", 0, "program"}, {"../../etc/passwd", 0, "x"}}, release.ErrPayload},
		"absolute":          {[]member{{"/hello", 0, "program"}}, release.ErrPayload},
		"backslash":         {[]member{{`..\hello`, 0, "program"}}, release.ErrPayload},
		"too many":          {many, release.ErrPayload},
		"bomb":              {[]member{{"hello", 0, zeros}}, release.ErrTooLong},
		"empty":             {[]member{{"hello", 0, ""}}, release.ErrPayload},
	} {
		for f, archive := range map[release.Format][]byte{TarGzip: tarGzip(t, tc.members...), Zip: zipped(t, tc.members...)} {
			got, err := unpack(f, archive)
			if !errors.Is(err, tc.want) || err == nil && got != "program" {
				t.Errorf("%s, %s: %q, %v, want %v", f, name, got[:min(len(got), 20)], err, tc.want)
			}
		}
	}
}

func TestTarRefuses(t *testing.T) {
	zeros := strings.Repeat("\x00", 8<<20)
	good := tarGzip(t, member{"hello", 0, "program"})
	for name, archive := range map[string][]byte{
		"second name of a file": tarGzip(t, member{"a", 0, "x"}, member{"hello", tar.TypeLink, ""}),
		"device":                tarGzip(t, member{"hello", tar.TypeBlock, ""}),
		"bomb beside it":        tarGzip(t, member{"hello", 0, "program"}, member{"README", 0, zeros}),
		"cut off":               good[:len(good)-12],
		"no gzip":               []byte("program"),
		"nothing":               nil,
	} {
		if got, err := unpack(TarGzip, archive); !errors.Is(err, release.ErrPayload) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// hidden is a reader that is nothing else.
type hidden struct{ io.Reader }

func TestZipRefuses(t *testing.T) {
	good := zipped(t, member{"hello", 0, strings.Repeat("program", 100)})
	changed := bytes.Clone(good)
	changed[45] ^= 0xff // a byte of the member
	lies := bytes.Replace(good, []byte{0xbc, 2, 0, 0}, []byte{0xff, 2, 0, 0}, -1)
	for name, archive := range map[string][]byte{
		"changed": changed, "another length announced": lies, "cut off": good[:len(good)-9], "no zip": []byte("program"), "nothing": nil,
	} {
		if got, err := unpack(Zip, archive); !errors.Is(err, release.ErrPayload) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	err := release.Decode(io.Discard, hidden{bytes.NewReader(good)}, release.Decoding{Format: Zip, Size: int64(len(good)), Member: "hello"})
	if !errors.Is(err, release.ErrPayload) {
		t.Errorf("a stream: %v", err)
	}
}

// TestZipIndex: finding a member among very many, or by a list that does not end, costs little memory.
func TestZipIndex(t *testing.T) {
	var many []member
	for i := range 60_000 {
		many = append(many, member{name: fmt.Sprintf("%s%d", strings.Repeat("n", 100), i)})
	}
	archive := zipped(t, many...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := unpack(Zip, archive)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, release.ErrPayload) || used > 40<<20 {
		t.Errorf("%v, %d MB", err, used>>20)
	}
}

// TestGoreleaser: the archives that goreleaser itself made.
func TestGoreleaser(t *testing.T) {
	const dist = "../../testdata/dist"
	for file, build := range map[string]string{
		"hello/hello_1.4.0_linux_amd64.tar.gz": "hello/server_linux_amd64_v1/hello",
		"hello/hello_1.4.0_windows_amd64.zip":  "hello/server_windows_amd64_v1/hello.exe",
		"two/hello_linux_arm64.tgz":            "two/server_linux_arm64_v8.0/hello",
	} {
		archive, err1 := os.ReadFile(filepath.Join(dist, file))
		want, err2 := os.ReadFile(filepath.Join(dist, build))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		d := release.Decoding{Format: FormatOf(file), Size: int64(len(archive)), Member: filepath.Base(build)}
		if err := release.Decode(&got, bytes.NewReader(archive), d); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %d bytes, %v", file, got.Len(), err)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]release.Format{
		"hello_1.4.0_linux_amd64.tar.gz": TarGzip, "hello.tgz": TarGzip, "HELLO.ZIP": Zip, "hello": release.Raw, "hello.exe": release.Raw, "hello.gz": release.Raw,
	} {
		if got := FormatOf(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzTarGzip(f *testing.F) {
	good := tarGzip(f, member{"README", 0, "read"}, member{"a/hello", 0, "program"})
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, b []byte) { fuzzed(t, TarGzip, b) })
}

func FuzzZip(f *testing.F) {
	good := zipped(f, member{"README", 0, "read"}, member{"a/hello", 0, "program"})
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, b []byte) { fuzzed(t, Zip, b) })
}

func fuzzed(t *testing.T, f release.Format, b []byte) {
	got, err := unpack(f, b)
	if most := (release.Decoding{Member: "hello", Size: int64(len(b))}).Most(); int64(len(got)) > most {
		t.Errorf("%d bytes of at most %d, %v", len(got), most, err)
	}
}
