//go:build unix

package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// TestVerdictOutlivesTheServer kills the process that was asked for an upgrade in each phase of it. A supervisor starts the server again where none is left.
// Whoever asked gets the verdict, and it is what the history and the disk say.
func TestVerdictOutlivesTheServer(t *testing.T) {
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, phase := range []updater.Phase{updater.PhaseCheck, updater.PhaseFetch, updater.PhaseStage, updater.PhaseProve, updater.PhaseHandover,
		updater.PhaseProbation, updater.PhaseCommit} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			s := newStory(t, bin)
			opt := filepath.Join(s.dir, "opt")
			for _, err := range []error{s.keys(nil, nil), s.install(nil, []string{"1.0.0"}), s.drop(nil, []string{"2.0.0"}),
				s.supervise(nil, []string{"--watch", "drop/app", "--minisign-key", "key.pub", "--interval", "-1s", "--probation", "500ms", "--health-interval", "100ms"})} {
				if err != nil {
					t.Fatal(err)
				}
			}
			locate := func() (string, error) {
				list, err := admin.Instances(filepath.Join(opt, ".app.d"))
				if err != nil || len(list) != 1 {
					return "", fmt.Errorf("servers %v: %w", list, err)
				}
				return list[0].Admin, nil
			}
			var sock string
			if !until(func() bool { sock, err = locate(); return err == nil }) {
				t.Fatalf("%v; log:\n%s", err, s.logged())
			}
			c := client.New(sock)
			c.Locate = locate
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			before, err := c.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			killed, attempt := false, ""
			out, err := c.Upgrade(ctx, admin.Request{}, func(e updater.Event) {
				attempt = e.Attempt
				if e.Phase == phase && !killed {
					killed = syscall.Kill(before.PID, syscall.SIGKILL) == nil
				}
			})
			if !killed {
				t.Fatalf("there was no %s; %v", phase, err)
			}
			installed, diskErr := os.ReadFile(filepath.Join(opt, "app"))
			offered, dropErr := os.ReadFile(filepath.Join(s.dir, "drop", "app"))
			if err := errors.Join(diskErr, dropErr); err != nil {
				t.Fatal(err)
			}
			var cut *client.CutError
			switch {
			case attempt == "" && !errors.As(err, &cut):
				t.Errorf("no attempt had begun, and yet: %+v, %v", out, err)
			case (err == nil) != slices.Equal(installed, offered):
				t.Errorf("%+v, %v; the new version is installed: %v", out, err, slices.Equal(installed, offered))
			case err == nil && (out.Attempt != attempt || out.To != "2.0.0" || !out.Changed):
				t.Errorf("of attempt %s: %+v", attempt, out)
			}
			h, historyErr := c.History(ctx)
			if historyErr != nil {
				t.Fatal(historyErr)
			}
			i := slices.IndexFunc(h.Attempts, func(a updater.Attempt) bool { return a.ID == attempt })
			if committed := i >= 0 && h.Attempts[i].Outcome == "committed"; committed != (err == nil) {
				t.Errorf("%v, and the history says %+v", err, h.Attempts)
			}
			t.Logf("%+v, %v", out, err)
		})
	}
}
