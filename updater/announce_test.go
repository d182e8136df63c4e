package updater

import (
	"os"
	"strings"
	"testing"
)

func TestAnnounce(t *testing.T) {
	b := newBench(t, nil)
	const path = "/run/app/7cvqxk/admin.sock"
	written := func() bool {
		doc, err := os.ReadFile(b.statePath())
		return err == nil && strings.Contains(string(doc), `"admin": "`+path+`"`)
	}
	if err := b.Announce(path); err != nil || written() {
		t.Errorf("without the lock: %v, written: %v", err, written())
	}
	b.lock()
	if err := b.Announce(path); err != nil || !written() {
		t.Errorf("with the lock: %v, written: %v", err, written())
	}
	before, err := os.Stat(b.statePath())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Announce(path); err != nil {
		t.Error(err)
	}
	if after, err := os.Stat(b.statePath()); err != nil || !os.SameFile(before, after) {
		t.Errorf("the same path was written once more: %v", err)
	}
}
