//go:build !unix

package path

import (
	"io/fs"
	"time"
)

const openFlags = 0

// No inode numbers and no change time here: size and modification time have to do.
func deviceInode(fs.FileInfo) (dev, ino uint64) { return 0, 0 }

func changeTime(fi fs.FileInfo) time.Time { return fi.ModTime() }
