package release_test

import (
	"fmt"
	"strings"

	"github.com/moult-go/moult/release"
)

// A file dropped at a watched path: sign it at the publisher's desk, decide by its comment alone, then verify it.
func Example() {
	public, private, err := release.GenerateMinisign("")
	if err != nil {
		panic(err)
	}
	signature, err := release.SignMinisign(private, "", strings.NewReader("the new executable"), release.TrustedComment{
		App:      "hello",
		Version:  release.MustParseVersion("1.4.0"),
		Platform: release.Platform{OS: "linux", Arch: "amd64"},
	})
	if err != nil {
		panic(err)
	}

	running := release.MustParseVersion("1.3.2")
	c, err := release.AuthenticateComment(public, signature)
	if err != nil {
		panic(err)
	}
	fmt.Println("newer:", c.Version.Compare(running) > 0)

	_, err = release.VerifyMinisign(public, signature, strings.NewReader("the new executable"))
	fmt.Println("as signed:", err)
	_, err = release.VerifyMinisign(public, signature, strings.NewReader("something else"))
	fmt.Println("tampered:", err)
	// Output:
	// newer: true
	// as signed: <nil>
	// tampered: bad minisign signature: not of these bytes
}
