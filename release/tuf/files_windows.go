package tuf

import "io/fs"

// syncDir does nothing: Windows has no such call, NTFS journals its directories.
func syncDir(string) error { return nil }

// checkPrivate does nothing: the mode bits say nothing of a Windows access list.
func checkPrivate(fs.FileInfo) error { return nil }
