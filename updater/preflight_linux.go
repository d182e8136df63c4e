package updater

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// mayWrite asks with the rights that count when a file is made.
func mayWrite(dir string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write", Path: dir, Err: err}
	}
	return nil
}

// mayRename finds what keeps a file from being replaced in a directory that may be written.
func (u *Updater) mayRename(dir string, file os.FileInfo) error {
	in, err := os.Stat(dir)
	if err != nil {
		return fail(Failed, "io", "look for what keeps %s from being replaced: %w", u.path, err)
	}
	if euid := os.Geteuid(); !may(unix.CAP_FOWNER) && in.Mode()&fs.ModeSticky != 0 {
		ofFile, _ := ownerOf(file)
		if ofDir, _ := ownerOf(in); ofFile != euid && ofDir != euid {
			return fail(Permission, "sticky", "replace %s: its directory is sticky and the file belongs to user %d; run as that user, or give the program a directory of its own", u.path, ofFile)
		}
	}
	if err := u.mayDress(file); err != nil {
		return err
	}
	for _, name := range []string{u.path, dir} {
		var st unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st); err != nil {
			continue // an old kernel
		}
		if st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0 {
			return fail(Permission, "immutable", "replace %s: %s has the immutable bit; run: chattr -i %s", u.path, name, name)
		}
		if st.Attributes&unix.STATX_ATTR_APPEND != 0 {
			return fail(Permission, "immutable", "replace %s: %s may only be appended to; run: chattr -a %s", u.path, name, name)
		}
	}
	// One file system may be mounted at two places, and no rename goes from one to the other; nor over a file that is mounted itself.
	var own, beside, state unix.Statx_t
	err1 := unix.Statx(unix.AT_FDCWD, u.path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &own)
	err2 := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &beside)
	err3 := unix.Statx(unix.AT_FDCWD, u.dir, 0, unix.STATX_MNT_ID, &state)
	switch known := own.Mask & beside.Mask & state.Mask & unix.STATX_MNT_ID; {
	case errors.Join(err1, err2, err3) != nil || known == 0: // an old kernel
	case own.Mnt_id != beside.Mnt_id:
		return fail(Permission, "mount-point", "replace %s: it is mounted there by itself, and nothing can be renamed over it; mount its directory instead, %s", u.path, dir)
	case beside.Mnt_id != state.Mnt_id:
		return fail(Permission, "other-file-system", "state directory %s is on another mount than %s: a replacement in one step needs the same; choose another with --state-dir", u.dir, u.path)
	}
	return nil
}

// mayExecute refuses a mount from which nothing is executed: the new version is started from the state directory.
func (u *Updater) mayExecute() error {
	var st unix.Statfs_t
	if err := unix.Statfs(u.dir, &st); err == nil && st.Flags&unix.ST_NOEXEC != 0 {
		return fail(Permission, "noexec", "state directory %s is mounted noexec, and the new version is started from there; choose another with --state-dir", u.dir)
	}
	return nil
}

// mayDress refuses what the new file could not be given.
func (u *Updater) mayDress(file os.FileInfo) error {
	uid, gid := ownerOf(file)
	groups, _ := os.Getgroups()
	if (uid != os.Geteuid() || gid != os.Getegid() && !slices.Contains(groups, gid)) && !may(unix.CAP_CHOWN) {
		return fail(Permission, "owner", "replace %s: it belongs to user %d and group %d, which this user %d cannot give to another file; run as that user or root, or: chown %d:%d %s",
			u.path, uid, gid, os.Geteuid(), os.Geteuid(), os.Getegid(), u.path)
	}
	const capability = "security.capability"
	if _, err := unix.Lgetxattr(u.path, capability, nil); err == nil && !may(unix.CAP_SETFCAP) {
		return fail(Permission, "xattr", "replace %s: it has file capabilities, which this user cannot give to another file; %s", u.path, attributeHint(capability, u.path))
	}
	return nil
}

// may reports whether this process has a capability.
func may(capability int) bool {
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
