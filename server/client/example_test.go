package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// An upgrade, followed to its verdict. The server of this example answers as one whose new version crashes on probation.
func ExampleClient_Upgrade() {
	dir, err := os.MkdirTemp("", "ex")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Handler: lines(`{"event":{"phase":"hand over","version":"1.5.0"}}
{"event":{"phase":"probation","version":"1.5.0"}}
{"error":{"class":"undone","reason":"crashed","message":"version 1.5.0 crashed","serving":"1.4.0","hint":"to see what happened: hello status"}}
`)}
	go srv.Serve(ln)
	defer srv.Close()

	out, err := client.New(path).Upgrade(context.Background(), admin.Request{}, func(e updater.Event) { fmt.Println(e.Phase, e.Version) })
	var f *admin.Failure
	if errors.As(err, &f) {
		fmt.Printf("%s: %s; %s is serving\n", f.Class, f.Message, f.Serving)
		return
	}
	fmt.Println(out.From, "→", out.To, err)
	// Output:
	// hand over 1.5.0
	// probation 1.5.0
	// undone: version 1.5.0 crashed; 1.4.0 is serving
}
