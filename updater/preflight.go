package updater

import (
	"os"
	"path/filepath"
)

// mayReplace looks, before anything is fetched, whether the replacement at the end will be possible: what the kernel would only say then, after a long
// download and a probation. It changes nothing. What it cannot see here (a policy of a security module, say) fails at the commit, with the old version whole.
func (u *Updater) mayReplace() error {
	fi, err := os.Lstat(u.path)
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	dir := filepath.Dir(u.path)
	if err := mayWrite(dir); err != nil {
		if isReadOnly(err) {
			return fail(Permission, "read-only", "replace %s: the file system is read-only: replace the image, or remount it writable (systemd: ReadWritePaths=%s)", u.path, dir)
		}
		return fail(Permission, "not-writable", "replace %s: %w; run as a user who may write %s", u.path, err, dir)
	}
	if err := u.mayRename(dir, fi); err != nil {
		return err
	}
	return u.mayExecute()
}
