package updater

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/moult-go/moult/release"
)

// self is this executable as the system named it at the start, on Linux with links followed. It is never asked again: on Linux the answer
// follows the inode, and after a replacement names the copy that was kept or the staged name.
var self, selfErr = os.Executable()

// ownImage is a path that opens the image of this process, whatever became of its name.
func ownImage() string {
	const proc = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(proc); err == nil {
			return proc
		}
	}
	return self
}

// identity tells whether a name still stands for the same file.
type identity struct {
	dev, ino uint64
	size     int64
	mtime    int64
}

func identify(fi os.FileInfo) identity {
	dev, ino := deviceInode(fi)
	return identity{dev, ino, fi.Size(), fi.ModTime().UnixNano()}
}

func identifyFile(path string) (identity, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return identity{}, err
	}
	if !fi.Mode().IsRegular() {
		return identity{}, fmt.Errorf("%s is not a regular file", path)
	}
	return identify(fi), nil
}

func resolveInstallPath(path string) (string, identity, error) {
	if path == "" {
		if selfErr != nil {
			return "", identity{}, fail(Failed, "io", "find this executable: %w", selfErr)
		}
		path = self
	}
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", identity{}, fail(Failed, "io", "resolve the install path: %w", err)
	}
	id, err := identifyFile(abs)
	if err != nil {
		return "", identity{}, fail(Failed, "io", "resolve the install path: %w", err)
	}
	return abs, id, nil
}

// digestCache remembers the digest of the file last seen at the install path: status pages ask often.
type digestCache struct {
	id     identity
	digest release.Digest
}

// diskDigest returns the digest of what stands at the install path now. The caller holds u.mu.
func (u *Updater) diskDigest() (release.Digest, error) {
	id, err := identifyFile(u.path)
	if err != nil {
		return release.Digest{}, err
	}
	if id == u.digests.id && !u.digests.digest.IsZero() {
		return u.digests.digest, nil
	}
	d, _, err := release.DigestFile(u.path)
	if err != nil {
		return release.Digest{}, err
	}
	u.digests = digestCache{id, d}
	return d, nil
}

// learnRunning finds the digest of this process's own image, once. It must come before the first commit.
// Where the install path is not our own image (a tool that updates another program), what stands there now
// counts as what runs. The caller holds u.mu.
func (u *Updater) learnRunning() error {
	if !u.running.IsZero() {
		return nil
	}
	d, err := u.diskDigest()
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	if u.ownImage {
		if d, _, err = release.DigestFile(ownImage()); err != nil {
			return fail(Failed, "io", "read our own image: %w", err)
		}
	}
	u.running = d
	u.current = build{u.o.Version, d}
	return nil
}
