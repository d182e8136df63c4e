//go:build unix

package grace

import (
	"errors"
	"strings"
	"testing"
)

func TestOfferOfAnotherProtocol(t *testing.T) {
	for _, c := range []struct {
		oldest, newest string
		fits           bool
	}{
		{"1", "1", true},
		{"1", "9", true},
		{"0", "0", false},
		{"2", "9", false},
		{"", "", false},
	} {
		offer := newMessage(msgOffer, "oldest", c.oldest, "newest", c.newest)
		if err := new(Process).readOffer(offer); errors.Is(err, errIncompatible) == c.fits {
			t.Errorf("protocol %q to %q: %v", c.oldest, c.newest, err)
		}
	}
}

// TestPacketSockets: two processes that read one of them take each other's packets, so none is opened.
func TestPacketSockets(t *testing.T) {
	for _, network := range []string{"udp", "udp4", "udp6", "unixgram", "unixpacket", "ip:icmp"} {
		if ln, err := new(Process).Listen(network, "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "network not supported") {
			t.Errorf("%s: %v, %v", network, ln, err)
		}
	}
}
