package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// groups are the control groups of a process: by controller ("memory", "pids", "name=systemd") in version 1; "" is that of version 2.
type groups map[string]string

// parseGroups reads /proc/PID/cgroup.
func parseGroups(b []byte) groups {
	g := groups{}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			g[controller] = parts[2]
		}
	}
	return g
}

// service returns the path that a service manager looks at.
func (g groups) service() string {
	if p, ok := g["name=systemd"]; ok {
		return p
	}
	return g[""]
}

// hierarchy is where control groups are mounted.
type hierarchy struct {
	point, root string
	controllers []string // version 1; nil: version 2
}

// parseHierarchies reads a mountinfo.
func parseHierarchies(b []byte) (list []hierarchy) {
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		mount, super := strings.Fields(before), strings.Fields(after)
		if !ok || len(mount) < 5 || len(super) < 3 {
			continue
		}
		h := hierarchy{point: mount[4], root: mount[3]}
		switch super[0] {
		case "cgroup":
			h.controllers = strings.Split(super[2], ",")
		case "cgroup2":
		default:
			continue
		}
		list = append(list, h)
	}
	return list
}

// dirs are the directories of a group in h, from its own up to the mount point.
func (h hierarchy) dirs(group string) (list []string) {
	below := strings.TrimPrefix(group, strings.TrimSuffix(h.root, "/"))
	for below = path.Clean("/" + below); ; below = path.Dir(below) {
		list = append(list, filepath.Join(h.point, below))
		if below == "/" {
			return list
		}
	}
}

// narrowest is the least number in a file of that name; 0: none.
func narrowest(dirs []string, name string) (least uint64, err error) {
	for _, dir := range dirs {
		b, readErr := os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(readErr, fs.ErrNotExist): // the root has none, nor a group without the controller
			continue
		case readErr != nil:
			err = fmt.Errorf("look at the control group: %w", readErr)
			continue
		}
		n, parseErr := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		if parseErr == nil && n < unlimited && (least == 0 || n < least) {
			least = n
		}
	}
	return least, err
}

// unlimited is more than any limit that is one: version 1 writes "none" as the highest page-aligned number.
const unlimited = 1 << 60

// readLimits finds the limits of a process's control groups, in the mounts that procfs, at proc, shows of this process.
func readLimits(proc string, g groups) (l limits, err error) {
	b, err := os.ReadFile(filepath.Join(proc, "self", "mountinfo"))
	if err != nil {
		return l, fmt.Errorf("look for the control groups: %w", err)
	}
	var errs []error
	read := func(into *uint64, dirs []string, name string) {
		n, err := narrowest(dirs, name)
		errs = append(errs, err)
		if n > 0 && (*into == 0 || n < *into) {
			*into = n
		}
	}
	for _, h := range parseHierarchies(b) {
		if h.controllers == nil {
			if group, ok := g[""]; ok {
				dirs := h.dirs(group)
				read(&l.memoryMax, dirs, "memory.max")
				read(&l.memoryHigh, dirs, "memory.high")
				read(&l.tasksMax, dirs, "pids.max")
				read(&l.tasks, dirs[:1], "pids.current")
			}
			continue
		}
		if group, ok := g["memory"]; ok && slices.Contains(h.controllers, "memory") {
			read(&l.memoryMax, h.dirs(group), "memory.limit_in_bytes")
		}
		if group, ok := g["pids"]; ok && slices.Contains(h.controllers, "pids") {
			dirs := h.dirs(group)
			read(&l.tasksMax, dirs, "pids.max")
			read(&l.tasks, dirs[:1], "pids.current")
		}
	}
	return l, errors.Join(errs...)
}
