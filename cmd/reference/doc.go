// Package reference writes the pages that tell of a command line, from the same words as its --help: one Markdown page with everything, and a man page
// for each command. A test keeps them fresh, and writes them when asked to:
//
//	var update = flag.Bool("update", false, "write the generated pages anew")
//
//	//go:generate go test -run ^TestReference$ -update .
//	func TestReference(t *testing.T) {
//		root := command.Root(service())
//		pages := map[string][]byte{"hello.md": reference.Markdown(root, "The server, command by command.")}
//		stale, err := reference.Keep("docs", pages, *update)
//		if err != nil || len(stale) > 0 {
//			t.Errorf("%v; stale: %v; go generate", err, stale)
//		}
//	}
//
// It links the writer of man pages, which is why it is no part of package command: a server does not have to carry that. The scripts for
// completion need no pages: "hello completion bash" prints them where a package is made.
package reference
