package delta_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/moult-go/moult/release/delta"
)

// A publisher makes a delta from one executable to the next; a host that has the first makes the second from it. What bounds the
// decoder comes from signed metadata and not from the delta.
func Example() {
	old := bytes.Repeat([]byte("func main() { serve() }\n"), 4000)
	next := bytes.Replace(old, []byte("serve()"), []byte("listen()"), 1)

	var patch bytes.Buffer
	if err := delta.Encode(context.Background(), &patch, old, next, delta.Options{}); err != nil {
		panic(err)
	}
	fmt.Println("small:", patch.Len() < len(next)/100)

	max := delta.Limits{Patch: int64(patch.Len()), New: int64(len(next)), From: sha256.Sum256(old), To: sha256.Sum256(next)}
	var got bytes.Buffer
	err := delta.Decode(&got, bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch.Bytes()), max)
	fmt.Println("the same:", err == nil && bytes.Equal(got.Bytes(), next))

	other := append(bytes.Clone(old[1:]), '!') // a build of one's own
	err = delta.Decode(&got, bytes.NewReader(other), int64(len(other)), bytes.NewReader(patch.Bytes()), max)
	fmt.Println("wrong base:", errors.Is(err, delta.ErrWrongBase))
	// Output:
	// small: true
	// the same: true
	// wrong base: true
}
