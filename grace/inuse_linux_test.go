package grace_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moult-go/moult/grace"
)

// TestAddressInUse: the error of a second start tells whose address it is, and is still EADDRINUSE.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_STAY=on")
	s.waitUp()
	holder := s.servingPID()
	for _, socket := range []string{s.addr, strings.Replace(s.addr, "127.0.0.1", "0.0.0.0", 1), strings.Replace(s.addr, "127.0.0.1", "", 1), "unix"} {
		second := start(t, "second", "GRACE_TEST_ADDR="+strings.Replace(socket, "unix", filepath.Join(s.dir, "web.sock"), 1))
		if got, want := second.file("error"), fmt.Sprintf("generation 1, pid %d, survivor false, in use true", holder); got != want {
			t.Errorf("%s: %q, want %q", socket, got, want)
		}
	}
	// A process of this executable that is no generation below a parent: this one.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	unmarked := start(t, "second", "GRACE_TEST_ADDR="+ln.Addr().String())
	if got, want := unmarked.file("error"), fmt.Sprintf("generation 0, pid %d, survivor false, in use true", os.Getpid()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// secondProgram opens an address and says what came of it.
func secondProgram() {
	p, err := grace.New(grace.Options{StayParent: grace.StayParentOff})
	if err != nil {
		log.Fatal(err)
	}
	network, addr := "tcp", os.Getenv("GRACE_TEST_ADDR")
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	_, err = p.Listen(network, addr)
	said := fmt.Sprint(err)
	if e := (*grace.InUseError)(nil); errors.As(err, &e) {
		said = fmt.Sprintf("generation %d, pid %d, survivor %v, in use %v", e.Generation, e.PID, e.Survivor, errors.Is(err, syscall.EADDRINUSE))
	}
	os.WriteFile("error", []byte(said), 0o600)
}
