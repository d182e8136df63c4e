//go:build unix

package updater

import (
	"errors"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// noWait keeps an open from waiting for the other end of a planted pipe.
const noWait = syscall.O_NONBLOCK

// lockFlags open the lock file: a planted link leads nowhere.
const lockFlags = os.O_CREATE | os.O_RDONLY | syscall.O_NOFOLLOW | noWait

// replace renames from over at, in one step.
func replace(root *os.Root, from string, place *os.Root, at string) error {
	return between(root, from, place, at, "rename", unix.Renameat)
}

// link gives a file a second name. A link is not followed.
func link(from *os.Root, name string, to *os.Root, second string) error {
	return between(from, name, to, second, "link", func(d int, n string, e int, m string) error { return unix.Linkat(d, n, e, m, 0) })
}

// between does what takes two names in two directories, which are open both.
func between(from *os.Root, name string, to *os.Root, other string, op string, do func(int, string, int, string) error) error {
	a, err := from.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := to.Open(path.Dir(other))
	if err != nil {
		return err
	}
	defer b.Close()
	for {
		err = do(int(a.Fd()), path.Base(name), int(b.Fd()), path.Base(other))
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return &os.LinkError{Op: op, Old: path.Join(a.Name(), path.Base(name)), New: path.Join(b.Name(), path.Base(other)), Err: err}
	}
	return nil
}

// clearAside has nothing to do: a running image can be replaced here.
func clearAside(*os.Root, string) error { return nil }

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
