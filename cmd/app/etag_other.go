//go:build !unix

package main

import "io/fs"

const openFlags = 0

// etag has no inode to go by here: the modification time has to do.
func etag(fs.FileInfo) string { return "" }
