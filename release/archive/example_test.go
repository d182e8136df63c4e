package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
)

// A host unpacks the executable of a release: the archive was verified as a file, and says what is in it.
func Example() {
	var file bytes.Buffer
	z := gzip.NewWriter(&file)
	t := tar.NewWriter(z)
	t.WriteHeader(&tar.Header{Name: "hello_1.4.0_linux_amd64/hello", Typeflag: tar.TypeReg, Mode: 0o755, Size: 13})
	io.WriteString(t, "an executable")
	t.Close()
	z.Close()

	var got bytes.Buffer
	err := release.Decode(&got, bytes.NewReader(file.Bytes()), release.Decoding{
		Format: archive.FormatOf("hello_1.4.0_linux_amd64.tar.gz"), Size: int64(file.Len()), Member: "hello",
	})
	fmt.Println(got.String(), err)
	// Output: an executable <nil>
}
