package grace

import (
	"testing"
	"time"
)

// What a generation that drains says of itself arrives whole, whether it has a deadline or none.
func TestDrainMessage(t *testing.T) {
	since := time.UnixMilli(1764288000123)
	for _, deadline := range []time.Time{{}, since.Add(time.Minute)} {
		g := Generation{Number: 2, PID: 4101, Since: since, Connections: 12, Hijacked: 3, Deadline: deadline}
		p := &Process{o: Options{MaxDraining: -1}}
		p.heardDrain(drainMessage(g))
		if got := p.Older(); len(got) != 1 || got[0] != g {
			t.Errorf("%+v arrived as %+v", g, got)
		}
	}
}
