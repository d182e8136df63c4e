package updater

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
)

// The parts of the state directory. Package server keeps its admin sockets in the last one.
var stateDirs = []string{"versions", "feed", "download", "instances"}

// openStateDir makes the state directory of the executable at installPath where it is missing, and refuses
// one that somebody else could have prepared or may change: what lies in it will be executed. From here on it is this very directory
// that is used, whatever becomes of its name.
func openStateDir(dir, installPath string) (*os.Root, error) {
	if elevated() {
		return nil, fail(Permission, "setuid", "open the state directory: this program runs setuid or setgid; start it without to let it update itself")
	}
	if dir == "" {
		dir = filepath.Join(filepath.Dir(installPath), "."+filepath.Base(installPath)+".d")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, cannotMake(dir, err)
	}
	named, err := os.Lstat(dir)
	if err != nil {
		return nil, fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if err := privateDir(dir, named); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if err := checkStateDir(root, named, installPath); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// checkStateDir looks at the directory that was opened, and makes its parts.
func checkStateDir(root *os.Root, named os.FileInfo, installPath string) error {
	opened, err1 := root.Stat(".")
	beside, err2 := os.Stat(filepath.Dir(installPath))
	if err := errors.Join(err1, err2); err != nil {
		return fail(Permission, "state-dir", "open the state directory: %w", err)
	}
	if !os.SameFile(named, opened) {
		return fail(Permission, "state-dir", "state directory %s changed while it was opened", root.Name())
	}
	if err := privateDir(root.Name(), opened); err != nil {
		return err
	}
	if identify(opened).dev != identify(beside).dev {
		return fail(Permission, "other-file-system",
			"state directory %s is not on the file system of %s: a replacement in one step needs that; choose another with --state-dir", root.Name(), installPath)
	}
	for _, d := range stateDirs {
		below := filepath.Join(root.Name(), d)
		if err := root.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return cannotMake(below, err)
		}
		fi, err := root.Lstat(d)
		if err != nil {
			return fail(Permission, "state-dir", "open the state directory: %w", err)
		}
		if err := privateDir(below, fi); err != nil {
			return err
		}
	}
	return nil
}

func cannotMake(dir string, err error) error {
	if isExhausted(err) {
		return fail(Temporary, "disk-space", "make the state directory: %w", err)
	}
	return fail(Permission, "state-dir", "make the state directory: %w; make %s writable for this user, or choose another directory with --state-dir",
		err, filepath.Dir(dir))
}

// privateDir checks that a directory is one: no link, ours, not writable by others.
func privateDir(dir string, fi os.FileInfo) error {
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
	if uid, _ := ownerOf(fi); uid != euid {
		return fmt.Errorf("belongs to user %d, and this is user %d; run as that user, or: chown -R %d it", uid, euid, euid)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write it (mode %#o); look into it, then: chmod 700 it", fi.Mode().Perm())
	}
	return nil
}

// inPlace checks that the name of the state directory still leads to the one that was opened: what is executed, and what minio/selfupdate
// reads and writes, is found by its path.
func (u *Updater) inPlace() error {
	named, err1 := os.Lstat(u.dir)
	opened, err2 := u.root.Stat(".")
	if err := errors.Join(err1, err2); err != nil {
		return fail(Permission, "state-dir", "state directory %s: %w; restart this program", u.dir, err)
	}
	if !os.SameFile(named, opened) {
		return fail(Permission, "state-dir", "state directory %s was replaced by another since this program started: put it back, or restart this program", u.dir)
	}
	return nil
}

// place opens the directory of the install path, for one replacement.
func (u *Updater) place() (*os.Root, error) { return os.OpenRoot(filepath.Dir(u.path)) }

// exposed names the directories on the way to file that somebody else may write: who can do that can put another executable there,
// with or without us. So they are no reason to stay with an old version, but an operator should know.
func exposed(file string) (list []string) {
	if runtime.GOOS == "windows" {
		return nil
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err == nil {
			uid, _ := ownerOf(fi)
			others := fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0
			if others || uid != 0 && uid != os.Geteuid() {
				list = append(list, dir)
			}
		}
		if dir == filepath.Dir(dir) {
			return list
		}
	}
}

// versionFile is where an executable of this version and digest is staged and kept.
func (u *Updater) versionFile(b build) string {
	return filepath.Join(u.versionDir(b), u.name)
}

func (u *Updater) versionDir(b build) string {
	return filepath.Join(u.dir, "versions", versionWord(b))
}

// keptFile and keptDir are the same below the state directory.
func (u *Updater) keptFile(b build) string { return path.Join(keptDir(b), u.name) }

func keptDir(b build) string { return path.Join("versions", versionWord(b)) }

func versionWord(b build) string { return fileWord(b.Version) + "-" + b.Digest.Short() }

// below makes a path in the state directory a name below it.
func (u *Updater) below(file string) (string, error) {
	rel, err := filepath.Rel(u.dir, file)
	if err == nil && !filepath.IsLocal(rel) {
		err = fmt.Errorf("%s does not lie in %s", file, u.dir)
	}
	return filepath.ToSlash(rel), err
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
