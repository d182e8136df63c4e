//go:build unix

package grace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClosedStandardFiles: a program may close them, and get their numbers again for something else: a successor then has
// /dev/null there.
func TestClosedStandardFiles(t *testing.T) {
	t.Parallel()
	for fd := range 3 {
		for _, reuse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d reused %v", fd, reuse), func(t *testing.T) {
				t.Parallel()
				plan := []string{fmt.Sprintf("close %d", fd), "open tcp 127.0.0.1:0"}
				if reuse {
					plan = []string{fmt.Sprintf("close %d", fd), fmt.Sprintf("reuse %d", fd), "open tcp 127.0.0.1:0"}
				}
				s := startPlan(t, t.TempDir(), nil, plan...)
				addr := s.addrs(1)[0]
				if got := s.askAt(addr, "/upgrade?path="+script(t, "echo out of luck >&2; exit 3")); !strings.Contains(got, "out of luck") {
					t.Errorf("verdict %q", got)
				}
				if b, err := os.ReadFile(filepath.Join(s.dir, "precious")); reuse && (err != nil || len(b) > 0) {
					t.Errorf("the program's own file: %q, %v", b, err)
				}
				s.plan("open tcp 127.0.0.1:0")
				s.upgradeAt(addr)
				s.addrs(2)
				link := fmt.Sprintf("/proc/%d/fd/%d", pidOf(t, addr), fd)
				if to, err := os.Readlink(link); err == nil && to != "/dev/null" {
					t.Errorf("descriptor %d of the successor is %s", fd, to)
				}
			})
		}
	}
}
