package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRefreshNeedsTheOnlineKeyAlone: the host of the timer holds no key that could offer anything.
func TestRefreshNeedsTheOnlineKeyAlone(t *testing.T) {
	smallFeed(t)
	if err := os.Mkdir("keys", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"online.key", "root.json"} {
		if err := os.Rename(filepath.Join("feed-keys", name), filepath.Join("keys", name)); err != nil {
			t.Fatal(err)
		}
	}
	before := want(t, 0, "show", "feed", "--keys=keys")
	want(t, 0, "refresh", "feed", "--keys=keys")
	if after := want(t, 0, "show", "feed", "--keys=keys"); after == before {
		t.Error("nothing was renewed")
	}
	want(t, exitFailed, "promote", "feed", "1.1.0", "--keys=keys")
}

// TestRefreshUnits: systemd takes the units that we ship, but for the path of the program, which is not installed here.
func TestRefreshUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there")
	}
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"moult-refresh.service", "moult-refresh.timer"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "release", "packaging", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), "/usr/bin/moult", self)), 0o644); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	verify := func() string {
		out, _ := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
		var ours []string // it looks at units of the host too
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "moult-refresh") {
				ours = append(ours, line)
			}
		}
		return strings.Join(ours, "")
	}
	if said := verify(); said != "" {
		t.Errorf("systemd-analyze:\n%s", said)
	}
	b, _ := os.ReadFile(units[0])
	os.WriteFile(units[0], append(b, "RestartSec=never in a while\n"...), 0o644)
	if verify() == "" {
		t.Error("a unit with a mistake passes: the check above checks nothing")
	}
}
