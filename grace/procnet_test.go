//go:build unix

package grace_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// established counts the connections that a server on addr has, as the kernel sees them.
func established(t *testing.T, addr string) int {
	t.Helper()
	const local, state = 1, "01"
	return countSockets(t, addr, local, state)
}

// unanswered counts the connections to addr whose SYN has got no answer yet.
func unanswered(t *testing.T, addr string) int {
	t.Helper()
	const remote, state = 2, "02"
	return countSockets(t, addr, remote, state)
}

// countSockets counts the lines of the kernel's table that name addr in a column, and a state.
func countSockets(t *testing.T, addr string, column int, state string) (n int) {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip("needs procfs: ", err)
	}
	ip := a.IP.To4()
	want := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 3 && f[column] == want && f[3] == state {
			n++
		}
	}
	return n
}
