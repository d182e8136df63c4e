package static_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/cmd/app/static"
)

func Example() {
	dir, err := os.MkdirTemp("", "www")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("hello, world"), 0o644)

	files, err := static.Open(static.Options{Dir: dir, CacheControl: "no-cache"})
	if err != nil {
		panic(err)
	}
	defer files.Close()

	r := httptest.NewRequest("GET", "/hello.txt", nil)
	r.Header.Set("Range", "bytes=0-4")
	w := httptest.NewRecorder()
	files.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 206 hello
}
