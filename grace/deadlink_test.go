//go:build unix

package grace

import (
	"bufio"
	"fmt"
	"net/http"
	"testing"
)

// TestNoCloseForADeadSuccessor: between a successor's death and the moment at which its predecessor serves again, no answer says
// Connection: close. A client that pipelines would lose what it has sent behind it.
func TestNoCloseForADeadSuccessor(t *testing.T) {
	old, next := newHouse(t, &http.Server{}), newHouse(t, &http.Server{})
	mv := next.follows(t, old)
	conn := old.dial(t)
	br := bufio.NewReader(conn)
	fmt.Fprint(conn, post("before")+"P") // with a byte of the next request it cannot move
	answer(t, br)
	old.only(t)
	old.conns.mover.Store(mv)
	old.polite.Store(true)
	next.up.close()
	until(t, "end of the link", func() bool {
		mv.mu.Lock()
		defer mv.mu.Unlock()
		return mv.over
	})
	fmt.Fprint(conn, post("after")[1:])
	if got := answer(t, br); got != "after" { // answer fails if it says close
		t.Errorf("answer %q", got)
	}
}
