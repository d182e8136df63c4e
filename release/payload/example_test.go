package payload_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/payload"
)

// A publisher compresses an executable. A host decodes it within what was signed for it: neither more nor other bytes come out.
func Example() {
	executable := bytes.Repeat([]byte("an executable "), 1000)
	var file bytes.Buffer
	if err := payload.Compress(context.Background(), &file, executable, nil); err != nil {
		panic(err)
	}

	signed := release.Decoding{Format: release.Zstd, Size: int64(file.Len()), Length: int64(len(executable)), SHA256: sha256.Sum256(executable)}
	var got bytes.Buffer
	err := release.Decode(&got, bytes.NewReader(file.Bytes()), signed)
	fmt.Println("the same:", err == nil && bytes.Equal(got.Bytes(), executable))

	signed.Length = 100
	err = release.Decode(&got, bytes.NewReader(file.Bytes()), signed)
	fmt.Println("more than was signed for:", errors.Is(err, release.ErrTooLong))
	// Output:
	// the same: true
	// more than was signed for: true
}
