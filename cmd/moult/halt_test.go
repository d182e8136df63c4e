package main

import (
	"os"
	"strings"
	"testing"
)

// standingIn is how a release stands in a channel, by a document of rollout, halt, resume, yank or promote.
func standingIn(t *testing.T, doc map[string]any, channel string) map[string]any {
	t.Helper()
	for _, c := range doc["channels"].([]any) {
		if s := c.(map[string]any); s["channel"] == channel {
			return s
		}
	}
	t.Fatalf("not in %s: %v", channel, doc)
	return nil
}

// A release is handed out by and by, turns out bad, is stopped by somebody who has the online key alone, and goes on.
func TestRolloutStory(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	want(t, 0, "publish", "feed", smallProgram(t), "--version", "1.0.0", "--critical", "--minimum", "0.9.0")
	doc := document(t, want(t, 0, "promote", "feed", "1.0.0", "--rollout", "steps:1%@0h,100%@48h", "--json"))
	stable := standingIn(t, doc, "stable")
	if stable["share"] != 0.01 || stable["critical"] != true || stable["minimum"] != "0.9.0" || len(doc["keys"].([]any)) != 2 {
		t.Errorf("promoted: %v", doc)
	}

	doc = document(t, want(t, 0, "rollout", "feed", "1.0.0", "--channel=stable", "--curve=steps:10%@0h,100%@48h", "--json"))
	if standingIn(t, doc, "stable")["share"] != 0.1 {
		t.Errorf("another curve: %v", doc)
	}
	want(t, exitUsage, "rollout", "feed", "1.0.0", "--curve=linear:48h") // in which of two channels?

	// On duty, with the online key alone.
	if err := os.Rename("feed-keys/targets.key", "targets.key"); err != nil {
		t.Fatal(err)
	}
	doc = document(t, want(t, 0, "halt", "feed", "1.0.0", "--dry-run", "--json"))
	if doc["changed"] != false || standingIn(t, doc, "beta")["halted"] == nil {
		t.Errorf("dry run: %v", doc)
	}
	if doc := document(t, want(t, 0, "rollout", "feed", "1.0.0", "--json")); standingIn(t, doc, "beta")["halted"] != nil {
		t.Errorf("the dry run was none: %v", doc)
	}
	said := want(t, 0, "halt", "feed", "1.0.0", "--reason", "it crashes")
	for _, line := range []string{"hello 1.0.0 in stable, 1 platform: halted: it crashes", "online key alone", "within about 6 hours", "moult resume feed 1.0.0"} {
		if !strings.Contains(said, line) {
			t.Errorf("halt does not say %q:\n%s", line, said)
		}
	}
	if doc := document(t, want(t, 0, "halt", "feed", "1.0.0", "--json")); doc["changed"] != false {
		t.Errorf("halted twice: %v", doc)
	}
	if said := want(t, 0, "list", "feed"); !strings.Contains(said, "halted: it crashes") {
		t.Errorf("list does not see it:\n%s", said)
	}
	want(t, exitFailed, "resume", "feed", "1.0.0")
	want(t, exitFailed, "promote", "feed", "1.0.0")
	want(t, exitFailed, "rollout", "feed", "1.0.0", "--channel=stable", "--curve=now")

	if err := os.Rename("targets.key", "feed-keys/targets.key"); err != nil {
		t.Fatal(err)
	}
	want(t, exitFailed, "promote", "feed", "1.0.0")
	doc = document(t, want(t, 0, "resume", "feed", "1.0.0", "--json"))
	if stable := standingIn(t, doc, "stable"); stable["halted"] != nil || stable["rollout"] == nil {
		t.Errorf("resumed: %v", doc)
	}
	want(t, 0, "promote", "feed", "1.0.0", "--to=lts", "--create")
	doc = document(t, want(t, 0, "yank", "feed", "1.0.0", "--reason=it loses data", "--json"))
	if len(doc["channels"].([]any)) != 3 || len(doc["keys"].([]any)) != 2 || standingIn(t, doc, "lts")["yanked"] == nil {
		t.Errorf("yanked: %v", doc)
	}
	want(t, exitFailed, "resume", "feed", "1.0.0")
	want(t, 0, "resume", "feed", "1.0.0", "--yanked", "--channel=lts")
	want(t, 0, "promote", "feed", "1.0.0", "--force")
	if said := want(t, 0, "rollout", "feed", "1.0.0"); !strings.Contains(said, "in beta, 1 platform: yanked: it loses data") || strings.Contains(said, "nothing was signed") {
		t.Errorf("rollout shows:\n%s", said)
	}
	want(t, 0, "verify", "feed", "--root=feed/metadata/1.root.json")

	for _, args := range []string{
		"halt feed", "halt feed x", "halt feed 1.0.0 --channel=nightly", "rollout feed 1.0.0 --curve=soon", "rollout feed 1.0.0 --restart", "rollout feed x",
		"promote feed 1.0.0 --rollout=soon", "promote feed 1.0.0 --minimum=x", "publish feed " + smallProgram(t) + " --version 2.0.0 --rollout soon", "yank feed", "resume feed",
	} {
		want(t, exitUsage, strings.Fields(args)...)
	}
	want(t, exitFailed, "halt", "feed", "7.0.0")
	want(t, exitFailed, "rollout", "feed", "7.0.0")
}
