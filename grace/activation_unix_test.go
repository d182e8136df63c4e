//go:build unix

package grace

import (
	"net"
	"os"
	"strconv"
	"testing"
)

// TestIsBoundTo: a wildcard is the socket that net.Listen would have made, and no other.
func TestIsBoundTo(t *testing.T) {
	if !hasIPv6() {
		t.Skip("needs IPv6")
	}
	const four, six, dual = "0.0.0.0", "v6 only", "dual"
	for _, c := range []struct {
		have, network, want string
		fits                bool
	}{
		{dual, "tcp", "", true},
		{dual, "tcp", "0.0.0.0", true}, // as net.Listen has it
		{dual, "tcp", "[::]", true},
		{dual, "tcp4", "", false},
		{dual, "tcp6", "", false},
		{dual, "tcp", "127.0.0.1", false},
		{six, "tcp", "", false},
		{six, "tcp6", "", true},
		{six, "tcp", "[::]", false},
		{four, "tcp", "", false},
		{four, "tcp4", "", true},
		{four, "tcp4", "0.0.0.0", true},
		{"127.0.0.1", "tcp", "127.0.0.1", true},
		{"127.0.0.1", "tcp4", "127.0.0.1", true},
		{"127.0.0.1", "tcp", "127.0.0.2", false},
		{"127.0.0.1", "tcp", "", false},
		{"127.0.0.1", "tcp", "localhost", true},
		{"[::1]", "tcp", "[::1]", true},
	} {
		network, host := "tcp", c.have
		switch c.have {
		case four:
			network = "tcp4"
		case six:
			network, host = "tcp6", ""
		case dual:
			host = ""
		}
		ln, err := net.Listen(network, host+":0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		want, err := net.ResolveTCPAddr(c.network, c.want+":"+port)
		if err != nil {
			t.Fatal(err)
		}
		if got := isBoundTo(ln.(deadlineListener), c.network, want); got != c.fits {
			t.Errorf("%s for %s %q: %v", c.have, c.network, c.want, got)
		}
		want.Port++
		if isBoundTo(ln.(deadlineListener), c.network, want) {
			t.Errorf("%s fits another port", c.have)
		}
		ln.Close()
	}
}

// FuzzUnitFDs: whoever starts the program writes these variables.
func FuzzUnitFDs(f *testing.F) {
	f.Add("2", "http:admin")
	f.Add("-1", "")
	f.Add("9223372036854775807", "a")
	f.Fuzz(func(t *testing.T, count, names string) {
		for name, value := range map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": names} {
			if os.Setenv(name, value) != nil {
				return // no environment can hold it
			}
			defer os.Unsetenv(name) // what could not be read is still there, and an Example would find it
		}
		n, err := unitFDs()
		if err != nil {
			return
		}
		list := unitNames(n)
		if n < 0 || n > mostUnitFDs || len(list) != n {
			t.Errorf("%d descriptors, %d names", n, len(list))
		}
		if v, ok := os.LookupEnv("LISTEN_FDS"); ok {
			t.Errorf("LISTEN_FDS=%q is still there", v)
		}
	})
}
