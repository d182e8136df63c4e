package updater

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/moult-go/moult/grace/role"
)

// ErrNoReport says that an executable does not answer the proof, because it does not link package role or because this system cannot ask; it was
// not started.
var ErrNoReport = errors.New("it does not answer the proof")

// Report starts the executable at path as the proof of an update does - in the proof role, in a clean environment, in a process group of
// its own - and returns what it says of itself. A publisher calls it before it signs: what does not start there will be refused by every server.
// It waits for as long as an Updater does by default, 10 s.
func Report(ctx context.Context, path string) (role.Report, error) {
	f, err := inspect(path)
	if err != nil {
		return role.Report{}, fmt.Errorf("ask %s: %w", path, err)
	}
	if !f.answers || !hasRoles {
		return role.Report{}, fmt.Errorf("ask %s: %w", path, ErrNoReport)
	}
	abs, err := filepath.Abs(path) // a bare name would be looked for in PATH
	if err != nil {
		return role.Report{}, fmt.Errorf("ask %s: %w", path, err)
	}
	r, err := ask(ctx, abs, defaultProofTimeout)
	if err != nil {
		return r, fmt.Errorf("ask %s: %w", path, err)
	}
	return r, nil
}

const defaultProofTimeout = 10 * time.Second

// ask starts an executable that answers the proof.
func ask(ctx context.Context, path string, timeout time.Duration) (role.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := runRole(ctx, path, role.Proof, nil, role.MaxReport)
	if err != nil {
		return role.Report{}, fmt.Errorf("start it: %w", err)
	}
	return role.ParseReport(answer)
}
