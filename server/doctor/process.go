package doctor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readProcess reads what procfs, mounted at proc, says of a process. Without permission to see its descriptors, the rest is told.
func readProcess(proc string, pid int) (*process, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return nil, fmt.Errorf("look at the server's process: %w", err)
	}
	p := &process{pid: pid, inner: pid}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch key {
		case "Name":
			p.name = words[0]
		case "PPid":
			p.parent, _ = strconv.Atoi(words[0])
		case "NSpid":
			p.inner, _ = strconv.Atoi(words[len(words)-1])
		case "Uid":
			if len(words) > 1 {
				p.uid, _ = strconv.Atoi(words[1])
			}
		case "VmRSS":
			kb, _ := strconv.ParseUint(words[0], 10, 64)
			p.rss = kb << 10
		case "Threads":
			p.threads, _ = strconv.Atoi(words[0])
		case "CapEff":
			p.effective, _ = strconv.ParseUint(words[0], 16, 64)
		case "CapAmb":
			p.ambient, _ = strconv.ParseUint(words[0], 16, 64)
		}
	}
	if list, err := os.ReadDir(filepath.Join(dir, "fd")); err == nil {
		p.open = len(list)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "limits")); err == nil {
		p.files = softLimit(b, "Max open files")
	}
	b, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err == nil {
		p.group = parseGroups(b)
	}
	return p, nil
}

// softLimit reads one line of /proc/PID/limits; 0: unlimited.
func softLimit(b []byte, name string) uint64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if words := strings.Fields(string(rest)); len(words) > 0 {
				n, _ := strconv.ParseUint(words[0], 10, 64)
				return n
			}
		}
	}
	return 0
}
