package admin

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Seconds is a duration that travels as a number of seconds, such as 1.5.
type Seconds time.Duration

// MarshalJSON writes the number.
func (s Seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// UnmarshalJSON reads one that is neither negative nor longer than a time.Duration can be.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var n float64
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("%.20s: want a number of seconds", b)
	}
	if n < 0 || n >= math.MaxInt64/float64(time.Second) {
		return fmt.Errorf("%g seconds: out of range", n)
	}
	*s = Seconds(n * float64(time.Second))
	return nil
}

func (s Seconds) String() string { return time.Duration(s).String() }
