package updater

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// The parts of the state directory. Package server keeps its admin sockets in the last one.
var stateDirs = []string{"versions", "feed", "download", "instances"}

// openStateDir makes the state directory of the executable at installPath where it is missing, and refuses
// one that somebody else could have prepared or may change: what lies in it will be executed.
func openStateDir(dir, installPath string) (string, error) {
	if elevated() {
		return "", fail(Permission, "setuid", "open the state directory: this program runs setuid or setgid; start it without to let it update itself")
	}
	if dir == "" {
		dir = filepath.Join(filepath.Dir(installPath), "."+filepath.Base(installPath)+".d")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if err := makeDir(dir); err != nil {
		return "", err
	}
	ours, err1 := os.Stat(dir)
	beside, err2 := os.Stat(filepath.Dir(installPath))
	if err := errors.Join(err1, err2); err != nil {
		return "", fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if identify(ours).dev != identify(beside).dev {
		return "", fail(Permission, "other-file-system",
			"state directory %s is not on the file system of %s: a replacement in one step needs that; choose another with --state-dir", dir, installPath)
	}
	for _, d := range stateDirs {
		if err := makeDir(filepath.Join(dir, d)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// makeDir makes a private directory, or checks that the one there is: no link, ours, not writable by others.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(Permission, "state-dir", "make the state directory: %w; make %s writable for this user, or choose another directory with --state-dir",
			err, filepath.Dir(dir))
	}
	if err == nil {
		return nil
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if why := unsafeDir(fi, os.Geteuid()); why != nil {
		return fail(Permission, "state-dir", "state directory %s: %w", dir, why)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o700 != 0o700 {
		return fail(Permission, "state-dir", "state directory %s: mode %#o; run: chmod 700 %s", dir, fi.Mode().Perm(), dir)
	}
	return nil
}

func unsafeDir(fi os.FileInfo, euid int) error {
	if !fi.IsDir() {
		return fmt.Errorf("is no directory but %s; remove it", fi.Mode().Type())
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	if uid, _ := owner(fi); uid != euid {
		return fmt.Errorf("belongs to user %d, and this is user %d; run as that user, or: chown -R %d it", uid, euid, euid)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write it (mode %#o); look into it, then: chmod 700 it", fi.Mode().Perm())
	}
	return nil
}

// versionFile is where an executable of this version and digest is staged and kept.
func (u *Updater) versionFile(b build) string {
	return filepath.Join(u.versionDir(b), u.name)
}

func (u *Updater) versionDir(b build) string {
	return filepath.Join(u.dir, "versions", fileWord(b.Version)+"-"+b.Digest.Short())
}

// fileWord makes a version fit for a file name; our own need not parse.
func fileWord(s string) string {
	const most = 64
	out := make([]byte, 0, most)
	for i := 0; i < len(s) && len(out) < most; i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '+', c == '-', c == '_',
			c == '.' && len(out) > 0:
			out = append(out, c)
		default:
			out = append(out, '_')
		}
	}
	if len(out) == 0 {
		return "unknown"
	}
	return string(out)
}
