//go:build linux || darwin || freebsd

package updater

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that an unprivileged user may still write.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return uint64(max(st.Bavail, 0)) * uint64(st.Bsize), nil
}
