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
func established(t *testing.T, addr string) (n int) {
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
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == "01" {
			n++
		}
	}
	return n
}
