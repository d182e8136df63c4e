package path

import (
	"os"
	"path/filepath"
	"strings"
)

// mostLinks is how many symbolic links a path may lead through, as in the kernel.
const mostLinks = 40

// chain returns every name that decides what file stands for: each component of its path, and of the targets of the links among
// them. It ends at the first one that is not there. file is absolute.
func chain(file string) (names []string) {
	at, todo := split(file)
	for links := 0; len(todo) > 0; {
		component := todo[0]
		todo = todo[1:]
		switch component {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at) // links are followed already
			continue
		}
		name := filepath.Join(at, component)
		names = append(names, name)
		fi, err := os.Lstat(name)
		if err != nil {
			return names
		}
		if fi.Mode()&os.ModeSymlink == 0 {
			at = name
			continue
		}
		target, err := os.Readlink(name)
		if links++; err != nil || links > mostLinks {
			return names
		}
		if filepath.IsAbs(target) {
			at, todo = before(target, todo)
		} else {
			todo = append(components(target), todo...)
		}
	}
	return names
}

// before puts the components of an absolute target in front of those that are left.
func before(target string, todo []string) (root string, all []string) {
	root, all = split(target)
	return root, append(all, todo...)
}

func split(abs string) (root string, rest []string) {
	volume := filepath.VolumeName(abs)
	return volume + string(filepath.Separator), components(abs[len(volume):])
}

func components(path string) []string {
	return strings.Split(filepath.ToSlash(path), "/")
}
