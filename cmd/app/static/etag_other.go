//go:build !unix

package static

import (
	"fmt"
	"io/fs"
	"time"
)

const openFlags = 0

// etag has no inode to go by here. Another file of the same size and time would have the same tag, so it is weak.
func etag(fi fs.FileInfo, _ time.Time) string {
	return fmt.Sprintf(`W/"%x-%x"`, fi.Size(), fi.ModTime().UnixNano())
}
