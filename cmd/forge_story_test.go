//go:build unix

package cmd_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moult-go/moult/release"
)

// forge publishes a build under a tag, as goreleaser does, below the directory forge; the first one starts a forge like Gitea there, on $forge, which keeps its files
// on another port.
func (s *story) forge(ts *testscript.TestScript, args []string) error {
	tag, name := args[0], args[1]
	version, _, _ := strings.Cut(name, "-")
	dir := filepath.Join(s.dir, "forge", tag)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := fmt.Sprintf("app_%s_linux_amd64.tar.gz", version)
	packed, err := pack(filepath.Join(s.bin, name))
	if err != nil {
		return err
	}
	d, _, err := release.DigestReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	sums := fmt.Sprintf("%s  %s\n", d, file)
	err = errors.Join(os.WriteFile(filepath.Join(dir, file), packed, 0o644), os.WriteFile(filepath.Join(dir, "checksums.txt"), []byte(sums), 0o644))
	if err == nil {
		err = s.run("moult", "minisign", "sign", filepath.Join(dir, "checksums.txt"), "--app", "app", "--version", version, "--key", "key.key")
	}
	if err != nil {
		return err
	}
	if ts.Getenv("forge") == "" {
		s.serveForge(ts)
	}
	return nil
}

// pack makes a tar.gz archive with a directory, as goreleaser's wrap_in_directory does.
func pack(executable string) ([]byte, error) {
	content, err := os.ReadFile(executable)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for name, content := range map[string][]byte{"app_linux/README.md": []byte("read\n"), "app_linux/app": content} {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), z.Close())
	return b.Bytes(), err
}

func (s *story) serveForge(ts *testscript.TestScript) {
	root := filepath.Join(s.dir, "forge")
	storage := httptest.NewServer(http.FileServer(http.Dir(root)))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /o/app/releases/download/{tag}/{file}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, storage.URL+"/"+r.PathValue("tag")+"/"+r.PathValue("file"), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /api/v1/repos/o/app/releases", func(w http.ResponseWriter, r *http.Request) {
		list := []any{}
		tags, _ := os.ReadDir(root)
		for _, tag := range tags {
			assets := []any{}
			files, _ := os.ReadDir(filepath.Join(root, tag.Name()))
			for _, f := range files {
				size := int64(0)
				if fi, err := f.Info(); err == nil {
					size = fi.Size()
				}
				assets = append(assets, map[string]any{"name": f.Name(), "size": size, "browser_download_url": "http://" + r.Host + "/o/app/releases/download/" + tag.Name() + "/" + f.Name()})
			}
			list = append(list, map[string]any{"tag_name": tag.Name(), "body": "news", "assets": assets})
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(list)
	})
	forge := httptest.NewServer(mux)
	ts.Defer(forge.Close)
	ts.Defer(storage.Close)
	ts.Setenv("forge", strings.TrimPrefix(forge.URL, "http://"))
}
