package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// entry is one member of an archive that a test makes up.
type entry struct {
	name string
	kind byte // of a tar archive; 0 for a regular file
	mode int64
	body string
	size int64 // announced, if not that of the body
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o755 | e.mode, Size: int64(len(e.body)) + e.size}
		if e.kind != 0 {
			h.Typeflag, h.Size, h.Linkname = e.kind, 0, "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
		if e.size > 0 {
			return b.Bytes()
		}
	}
	w.Close()
	return b.Bytes()
}

func gzipOf(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zipOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name}
		h.SetMode(os.FileMode(0o755))
		if e.kind == tar.TypeSymlink {
			h.SetMode(os.ModeSymlink | 0o777)
		}
		f, err := h, error(nil)
		out, err := w.CreateHeader(f)
		if err == nil {
			_, err = io.WriteString(out, e.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	one := []entry{{name: "README", body: "read"}, {name: "hello_1.0.0/hello", body: "program"}, {name: "hello_1.0.0/helloctl", body: "other"}}
	many := make([]entry, 10_001) // one more than package archive passes over
	for i := range many {
		many[i].name = "f"
	}
	many[0].name = "hello"
	for name, tc := range map[string]struct {
		format string
		b      []byte
		want   string // "" for refused
	}{
		"tar.gz":           {"tar.gz", gzipOf(tarOf(t, one...)), "program"},
		"tgz":              {"tgz", gzipOf(tarOf(t, one...)), "program"},
		"tar":              {"tar", tarOf(t, one...), "program"},
		"zip":              {"zip", zipOf(t, one...), "program"},
		"gz":               {"gz", gzipOf([]byte("program")), "program"},
		"with extension":   {"zip", zipOf(t, entry{name: "hello.exe", body: "program"}), "program"},
		"directory":        {"tar", tarOf(t, entry{name: "hello/", kind: tar.TypeDir}, entry{name: "hello/hello", body: "program"}), "program"},
		"format":           {"tar.xz", gzipOf(tarOf(t, one...)), ""},
		"not there":        {"tar", tarOf(t, one[0], one[2]), ""},
		"twice":            {"tar", tarOf(t, one[1], entry{name: "hello", body: "evil"}), ""},
		"twice in zip":     {"zip", zipOf(t, one[1], entry{name: "hello", body: "evil"}), ""},
		"above":            {"tar", tarOf(t, entry{name: "../hello", body: "evil"}), ""},
		"above, beside":    {"tar", tarOf(t, one[1], entry{name: "a/../../.bashrc", body: "evil"}), ""},
		"absolute":         {"tar", tarOf(t, entry{name: "/bin/hello", body: "evil"}), ""},
		"above in zip":     {"zip", zipOf(t, entry{name: "../hello", body: "evil"}), ""},
		"backslash in zip": {"zip", zipOf(t, entry{name: `..\hello`, body: "evil"}), ""},
		"symlink":          {"tar", tarOf(t, entry{name: "hello", kind: tar.TypeSymlink}), ""},
		"hard link":        {"tar", tarOf(t, entry{name: "hello", kind: tar.TypeLink}), ""},
		"device":           {"tar", tarOf(t, entry{name: "hello", kind: tar.TypeBlock}), ""},
		"symlink in zip":   {"zip", zipOf(t, entry{name: "hello", kind: tar.TypeSymlink, body: "/etc/passwd"}), ""},
		"setuid":           {"tar", tarOf(t, entry{name: "hello", mode: 0o4000, body: "evil"}), ""},
		"too large":        {"tar", tarOf(t, entry{name: "hello", body: "evil", size: 1 << 30}), ""},
		"cut":              {"tar", tarOf(t, entry{name: "hello", body: "evil", size: 600}), ""},
		"too many":         {"tar", tarOf(t, many...), ""},
		"too many in zip":  {"zip", zipOf(t, many...), ""},
		"no archive":       {"tar.gz", []byte("PK"), ""},
		"no zip":           {"zip", []byte("PK"), ""},
		"empty":            {"tar.gz", nil, ""},
	} {
		archive := filepath.Join(t.TempDir(), "archive")
		if err := os.WriteFile(archive, tc.b, 0o644); err != nil {
			t.Fatal(err)
		}
		b := &bundle{}
		path, err := b.unpack(archive, tc.format, "hello")
		got, _ := os.ReadFile(path)
		switch {
		case tc.want == "" && !errors.Is(err, errArchive):
			t.Errorf("%s: %q, %v; want it refused", name, got, err)
		case tc.want != "" && (err != nil || string(got) != tc.want):
			t.Errorf("%s: %q, %v", name, got, err)
		}
		b.close()
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add("tar.gz", gzipOf([]byte("x")))
	f.Add("zip", []byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, format string, b []byte) {
		archive := filepath.Join(t.TempDir(), "archive")
		if err := os.WriteFile(archive, b, 0o600); err != nil {
			t.Fatal(err)
		}
		bundle := &bundle{}
		defer bundle.close()
		path, err := bundle.unpack(archive, format, "hello")
		if rel, relErr := filepath.Rel(bundle.temp, path); err == nil && (relErr != nil || !filepath.IsLocal(rel)) {
			t.Errorf("unpacked to %s", path)
		}
	})
}
