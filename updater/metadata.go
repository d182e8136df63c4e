package updater

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// copyMetadata makes the file at to look like that at from to the kernel: owner, then mode (a change of owner
// clears setuid), then extended attributes, capabilities among them. What cannot be copied is an error of class
// Permission: a server that silently lost the right to bind its port would be no update.
func copyMetadata(from, to string) error {
	src, err1 := os.Stat(from)
	dst, err2 := os.Lstat(to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	uid, gid := owner(src)
	if u, g := owner(dst); u != uid || g != gid {
		if err := os.Lchown(to, uid, gid); err != nil {
			return fail(Permission, "owner", "give %s the owner of %s: %w; run as that user, or: chown %d:%d %s",
				to, from, err, os.Geteuid(), os.Getegid(), from)
		}
	}
	const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	if err := os.Chmod(to, src.Mode()&bits); err != nil {
		return fail(Permission, "owner", "give %s the mode of %s: %w", to, from, err)
	}
	if name, err := copyAttributes(from, to); err != nil {
		return fail(Permission, "xattr", "give %s the attribute %s of %s: %w; %s", to, name, from, err, attributeHint(name, from))
	}
	return nil
}

func attributeHint(name, path string) string {
	if name == "security.capability" {
		return fmt.Sprintf("run the upgrade as root, or grant the capability by the service manager and: setcap -r %s", path)
	}
	return fmt.Sprintf("run the upgrade as root, or: setfattr -x %s %s", name, path)
}
