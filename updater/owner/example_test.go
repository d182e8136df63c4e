package owner_test

import (
	"context"
	"fmt"

	"github.com/moult-go/moult/updater/owner"
)

func ExampleFind() {
	p, err := owner.Find(context.Background(), "/nix/store/3n58xw4373jp0ljirf06d8077j15pc4j-hello-2.12.1/bin/hello")
	if err != nil || p == nil {
		fmt.Println("nobody's", err)
		return
	}
	fmt.Printf("%s, a package of %s: %s\n", p.Name, p.Manager, p.Upgrade)
	// Output: hello, a package of Nix: nix profile upgrade hello
}
