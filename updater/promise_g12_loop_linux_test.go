package updater

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func init() { otherProcess["loop"] = loopChild }

// loopVersion is a version of linked's length.
func loopVersion(n int) string { return fmt.Sprintf("9.9.%03d-ok", 100+n) }

// loopChild updates the installation in UPDATER_TEST_DIR again and again, and tells each commit.
func loopChild() int {
	dir := os.Getenv("UPDATER_TEST_DIR")
	payload, err := os.ReadFile(filepath.Join(dir, "payload"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	src := &fakeSource{}
	u, err := New(Options{Name: "hello", Version: "1.0.0", Source: src, InstallPath: filepath.Join(dir, "hello"), Module: "-"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for n := range 900 {
		src.offer(loopVersion(n), []byte(strings.ReplaceAll(string(payload), linked, loopVersion(n))))
		if _, err := u.Upgrade(context.Background(), Request{}); err != nil {
			fmt.Println("END", err)
			return 0
		}
		fmt.Println("COMMITTED")
	}
	return 0
}

// anyTime cuts the power at some time in a loop of updates.
func (p *powerStation) anyTime(t *testing.T, n int) {
	how := cuts[n%len(cuts)]
	wait := time.Duration(rand.IntN(300)) * time.Millisecond
	t.Run(fmt.Sprintf("any time/%d/%s", n, how), func(t *testing.T) {
		dir := p.fresh(candidate(t, linked))
		p.settle()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "UPDATER_TEST_DIR="+dir, "UPDATER_TEST_MODE=loop")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := make(chan int, 1)
		begun := make(chan struct{})
		go func() { // ends with the child
			commits := 0
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if lines.Text() == "COMMITTED" {
					if commits++; commits == 1 {
						close(begun)
					}
				}
			}
			told <- commits
		}()
		select {
		case <-begun:
		case <-told:
			t.Fatal("the child has updated nothing")
		}
		time.Sleep(wait) // any time is right
		if err := cutPower(dir, how); err != nil {
			t.Fatal(err)
		}
		last := <-told - 1
		cmd.Wait()
		p.remount()
		p.cuts++
		got, err := os.ReadFile(filepath.Join(dir, "hello"))
		made := func(n int) string { return string(candidate(t, loopVersion(n))) }
		if err != nil || string(got) != made(last) && string(got) != made(last+1) {
			t.Fatalf("%v after commit %d: %d bytes at the install path, %v", wait, last, len(got), err)
		}
		p.recovers(t, dir, string(got))
		os.RemoveAll(dir)
	})
}
