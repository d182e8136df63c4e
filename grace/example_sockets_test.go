package grace_test

import (
	"log"
	"os"

	"github.com/moult-go/moult/grace"
)

// A log file that every generation appends to, and a lock that is never free between two of them.
func ExampleProcess_File() {
	p, err := grace.New(grace.Options{})
	if err != nil {
		log.Fatal(err)
	}
	accessLog, err := p.File("access log", func() (*os.File, error) {
		return os.OpenFile("/var/log/hello/access.log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	})
	if err != nil {
		log.Fatal(err)
	}
	log.New(accessLog, "", log.LstdFlags).Printf("generation %d begins", p.Generation())
}

// A listener by name: systemd's socket unit may say where it is, by FileDescriptorName=web. Without one, the program binds
// the address itself.
func ExampleProcess_Open() {
	p, err := grace.New(grace.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Open(grace.Socket{Name: "web", Network: "tcp", Address: "localhost:8080"})
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", ln.Addr())
}
