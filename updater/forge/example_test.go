package forge

import (
	"fmt"
)

func ExampleGitHub() {
	const publicKey = "RWQ…" // //go:embed minisign.pub
	src := GitHub("moult-go/hello", Options{MinisignKey: publicKey})
	fmt.Println(src)
	// Output: GitHub moult-go/hello
}
