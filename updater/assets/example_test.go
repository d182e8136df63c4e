package assets_test

import (
	"fmt"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater/assets"
)

// Of all files of a release one is this host's.
func ExampleChoose() {
	name, err := assets.Choose([]string{
		"hello_1.4.0_linux_amd64.tar.gz", "hello_1.4.0_linux_amd64v3.tar.gz", "hello_1.4.0_darwin_all.tar.gz", "helloctl_1.4.0_linux_amd64.tar.gz", "checksums.txt",
	}, assets.Host{Platform: release.Platform{OS: "linux", Arch: "amd64", Variant: "v2"}, Programs: []string{"hello"}, Version: "1.4.0"})
	fmt.Println(name, err)
	// Output: hello_1.4.0_linux_amd64.tar.gz <nil>
}
