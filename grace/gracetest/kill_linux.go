package gracetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const canKill = true

// peersOf lists the ports of the clients whose connections a stopped process has open: the ones that its death may cost a
// request. What waits in the kernel's queue is not among them.
func peersOf(pid int) (map[int]bool, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if err := awaitStopped(dir); err != nil {
		return nil, err
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, fd := range fds {
		link, _ := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if s, ok := strings.CutPrefix(link, "socket:["); ok {
			inodes[strings.TrimSuffix(s, "]")] = true
		}
	}
	table, err := os.ReadFile(filepath.Join(dir, "net/tcp")) // of its network namespace
	if err != nil {
		return nil, err
	}
	const remote, inode = 2, 9 // columns, see proc_net_tcp in the kernel's documentation
	peers := map[int]bool{}
	for row := range bytes.Lines(table) {
		f := strings.Fields(string(row))
		if len(f) <= inode || !inodes[f[inode]] {
			continue
		}
		_, port, _ := strings.Cut(f[remote], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			return nil, fmt.Errorf("read %s/net/tcp: %w", dir, err)
		}
		if n != 0 { // 0: a listening socket
			peers[int(n)] = true
		}
	}
	return peers, nil
}

// awaitStopped waits until every thread has stopped: until then one may still be accepting.
func awaitStopped(dir string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) { // between two looks
		threads, err := filepath.Glob(filepath.Join(dir, "task/*/stat"))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("stop %s: it is gone", dir)
		}
		running := false
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if err != nil {
				continue // a thread that has ended
			}
			state := stat[bytes.LastIndexByte(stat, ')')+2]
			running = running || !bytes.ContainsRune([]byte("TtZX"), rune(state))
		}
		if !running {
			return nil
		}
	}
	return fmt.Errorf("stop %s: it still runs", dir)
}
