package transfer

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if u := os.Getenv(proxiedEnv); u != "" {
		fmt.Print(proxied(u))
		return
	}
	goleak.VerifyTestMain(m)
}

// newClient is a client that the test closes.
func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
