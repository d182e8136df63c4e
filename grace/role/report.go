package role

import (
	"encoding/json"
	"fmt"
	"os"
)

// MaxReport is the size in bytes that no report exceeds.
const MaxReport = 64 << 10

func (r Report) write(channel *os.File) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := channel.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return channel.Close()
}

// ParseReport reads the answer of an executable that ran in the proof role.
func ParseReport(b []byte) (Report, error) {
	var r Report
	if len(b) > MaxReport {
		return r, fmt.Errorf("parse report: %d bytes, more than %d", len(b), MaxReport)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("parse report: %w", err)
	}
	if r.Schema < 1 {
		return r, fmt.Errorf("parse report: schema %d", r.Schema)
	}
	return r, nil
}
