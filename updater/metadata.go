package updater

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// modeBits are those of a mode that are copied.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// copyMetadata makes the file to look like from to the kernel: owner, then mode (a change of owner clears setuid), then
// extended attributes, ACLs and capabilities among them. What cannot be copied is an error of class
// Permission: a server that silently lost the right to bind its port would be no update.
func copyMetadata(from, to *os.File) error {
	src, err1 := from.Stat()
	dst, err2 := to.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	uid, gid := ownerOf(src)
	if u, g := ownerOf(dst); u != uid || g != gid {
		if err := to.Chown(uid, gid); err != nil {
			return ownerError(from, to, err)
		}
	}
	mode := src.Mode() & modeBits
	// Attributes of the user's want a file that may be written.
	if err := to.Chmod(mode | 0o200); err != nil {
		return fail(Permission, "owner", "give %s the mode of %s: %w", to.Name(), from.Name(), err)
	}
	if name, err := copyAttributes(from, to); err != nil {
		return fail(Permission, "xattr", "give %s the attribute %s of %s: %w; %s", to.Name(), name, from.Name(), err, attributeHint(name, from.Name()))
	}
	if err := to.Chmod(mode); err != nil {
		return fail(Permission, "owner", "give %s the mode of %s: %w", to.Name(), from.Name(), err)
	}
	return sameMetadata(from, to, src)
}

// sameMetadata looks whether all of it arrived: a setgid bit, for one, is dropped without a word for who is not in the group.
func sameMetadata(from, to *os.File, src os.FileInfo) error {
	dst, err := to.Stat()
	if err != nil {
		return err
	}
	if dst.Mode()&modeBits != src.Mode()&modeBits {
		return ownerError(from, to, fmt.Errorf("mode %v became %v", src.Mode(), dst.Mode()))
	}
	return nil
}

func ownerError(from, to *os.File, err error) error {
	return fail(Permission, "owner", "give %s the owner and mode of %s: %w; run as its owner or root, or: chown %d:%d %s",
		to.Name(), from.Name(), err, os.Geteuid(), os.Getegid(), from.Name())
}

func attributeHint(name, path string) string {
	switch name {
	case "security.capability":
		return fmt.Sprintf("run the upgrade as root, or grant the capability by the service manager and: setcap -r %s", path)
	case "security.selinux":
		return fmt.Sprintf("allow the service to relabel files, or let the policy give the label to the state directory too: semanage fcontext, restorecon %s", path)
	case "system.posix_acl_access":
		return fmt.Sprintf("run the upgrade as root, or: setfacl -b %s", path)
	}
	return fmt.Sprintf("run the upgrade as root, or: setfattr -x %s %s", name, path)
}
