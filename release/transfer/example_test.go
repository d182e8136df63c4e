package transfer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
)

func Example() {
	payload := "the whole executable"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(payload))
	}))
	defer server.Close()

	ctx := context.Background()
	c, err := transfer.New(transfer.Options{UserAgent: "hello/1.2.0"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	// A small file, and what it costs to ask again.
	file, err := c.Get(ctx, server.URL+"/notes", 1<<10, transfer.Validators{})
	if err != nil {
		log.Fatal(err)
	}
	again, err := c.Get(ctx, server.URL+"/notes", 1<<10, file.Validators)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s; changed since: %v\n", file.Body, !again.NotModified)

	// A payload, from the first mirror that has it.
	mirrors := []string{"http://127.0.0.1:1/hello", server.URL + "/hello"}
	var dst bytes.Buffer
	err = c.Download(ctx, mirrors, int64(len(payload)), release.Digest(sha256.Sum256([]byte(payload))), &dst)
	fmt.Println(dst.String(), err)
	// Output:
	// the whole executable; changed since: false
	// the whole executable <nil>
}
