//go:build unix

package grace

import (
	"errors"
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
