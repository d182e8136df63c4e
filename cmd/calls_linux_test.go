//go:build amd64

package cmd_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// A shape says where a system call has its files and its message.
type shape struct {
	name     string
	paths    [][2]int // places of a directory's descriptor, -1 for none, and of a path
	fds      []int
	socket   bool                                        // the second argument is an address, of a Unix socket perhaps
	message  func(tid int, args [6]uint64, n int) []byte // begins with it
	length   func(tid int, args [6]uint64) int
	receives bool
}

// shapes has every call that takes the name of a file or the descriptor of one, and that a program may use on ordinary files.
var shapes = map[uint64]*shape{}

func init() {
	for name, nr := range map[string]uint64{"openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "newfstatat": unix.SYS_NEWFSTATAT,
		"statx": unix.SYS_STATX, "unlinkat": unix.SYS_UNLINKAT, "mkdirat": unix.SYS_MKDIRAT, "mknodat": unix.SYS_MKNODAT,
		"fchmodat": unix.SYS_FCHMODAT, "fchmodat2": unix.SYS_FCHMODAT2, "fchownat": unix.SYS_FCHOWNAT, "readlinkat": unix.SYS_READLINKAT,
		"faccessat": unix.SYS_FACCESSAT, "faccessat2": unix.SYS_FACCESSAT2, "utimensat": unix.SYS_UTIMENSAT, "inotify_add_watch": unix.SYS_INOTIFY_ADD_WATCH} {
		shapes[nr] = &shape{name: name, paths: [][2]int{{0, 1}}}
	}
	shapes[unix.SYS_INOTIFY_ADD_WATCH].paths[0][0] = -1
	for name, nr := range map[string]uint64{"renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2, "linkat": unix.SYS_LINKAT} {
		shapes[nr] = &shape{name: name, paths: [][2]int{{0, 1}, {2, 3}}}
	}
	shapes[unix.SYS_SYMLINKAT] = &shape{name: "symlinkat", paths: [][2]int{{1, 2}}}
	for name, nr := range map[string]uint64{"open": unix.SYS_OPEN, "creat": unix.SYS_CREAT, "stat": unix.SYS_STAT, "lstat": unix.SYS_LSTAT,
		"access": unix.SYS_ACCESS, "unlink": unix.SYS_UNLINK, "mkdir": unix.SYS_MKDIR, "rmdir": unix.SYS_RMDIR, "chmod": unix.SYS_CHMOD,
		"chown": unix.SYS_CHOWN, "lchown": unix.SYS_LCHOWN, "readlink": unix.SYS_READLINK, "truncate": unix.SYS_TRUNCATE, "statfs": unix.SYS_STATFS,
		"getxattr": unix.SYS_GETXATTR, "lgetxattr": unix.SYS_LGETXATTR, "listxattr": unix.SYS_LISTXATTR, "llistxattr": unix.SYS_LLISTXATTR,
		"setxattr": unix.SYS_SETXATTR, "lsetxattr": unix.SYS_LSETXATTR, "removexattr": unix.SYS_REMOVEXATTR, "lremovexattr": unix.SYS_LREMOVEXATTR,
		"chdir": unix.SYS_CHDIR} {
		shapes[nr] = &shape{name: name, paths: [][2]int{{-1, 0}}}
	}
	for name, nr := range map[string]uint64{"rename": unix.SYS_RENAME, "link": unix.SYS_LINK} {
		shapes[nr] = &shape{name: name, paths: [][2]int{{-1, 0}, {-1, 1}}}
	}
	for name, nr := range map[string]uint64{"read": unix.SYS_READ, "pread64": unix.SYS_PREAD64, "readv": unix.SYS_READV, "write": unix.SYS_WRITE,
		"pwrite64": unix.SYS_PWRITE64, "writev": unix.SYS_WRITEV, "fsync": unix.SYS_FSYNC, "fdatasync": unix.SYS_FDATASYNC, "close": unix.SYS_CLOSE,
		"sync_file_range": unix.SYS_SYNC_FILE_RANGE, "syncfs": unix.SYS_SYNCFS, "ftruncate": unix.SYS_FTRUNCATE, "fallocate": unix.SYS_FALLOCATE,
		"fstat": unix.SYS_FSTAT, "fstatfs": unix.SYS_FSTATFS, "fchmod": unix.SYS_FCHMOD, "fchown": unix.SYS_FCHOWN, "fchdir": unix.SYS_FCHDIR,
		"getdents64": unix.SYS_GETDENTS64, "flock": unix.SYS_FLOCK, "fgetxattr": unix.SYS_FGETXATTR, "flistxattr": unix.SYS_FLISTXATTR,
		"fsetxattr": unix.SYS_FSETXATTR, "fremovexattr": unix.SYS_FREMOVEXATTR, "lseek": unix.SYS_LSEEK, "ioctl": unix.SYS_IOCTL} {
		shapes[nr] = &shape{name: name, fds: []int{0}}
	}
	shapes[unix.SYS_MMAP] = &shape{name: "mmap", fds: []int{4}}
	shapes[unix.SYS_COPY_FILE_RANGE] = &shape{name: "copy_file_range", fds: []int{0, 2}}
	shapes[unix.SYS_SENDFILE] = &shape{name: "sendfile", fds: []int{1, 0}}
	shapes[unix.SYS_SPLICE] = &shape{name: "splice", fds: []int{0, 2}}

	shapes[unix.SYS_BIND] = &shape{name: "bind", socket: true}

	w, r := shapes[unix.SYS_WRITE], shapes[unix.SYS_READ]
	w.message, w.length = bufferArgument, func(_ int, a [6]uint64) int { return int(a[2]) }
	r.message, r.receives = bufferArgument, true
	shapes[unix.SYS_SENDMSG] = &shape{name: "sendmsg", message: firstVector, length: firstLength}
	shapes[unix.SYS_RECVMSG] = &shape{name: "recvmsg", message: firstVector, receives: true}
}

// path names the files of a call; ok is whether one is watched.
func (s *shape) path(dir string, tid int, args [6]uint64) (path string, ok bool) {
	var names []string
	for _, p := range s.paths {
		name := readString(tid, args[p[1]])
		if !filepath.IsAbs(name) {
			base := fmt.Sprintf("/proc/%d/cwd", tid)
			if p[0] >= 0 && int32(args[p[0]]) != unix.AT_FDCWD {
				base = fmt.Sprintf("/proc/%d/fd/%d", tid, int32(args[p[0]]))
			}
			at, _ := os.Readlink(base)
			name = filepath.Join(at, name)
		}
		names = append(names, name)
	}
	for _, i := range s.fds {
		if int32(args[i]) < 0 {
			continue
		}
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(args[i])))
		names = append(names, strings.TrimSuffix(name, " (deleted)"))
	}
	if s.socket {
		const family = 2 // bytes before the path, see unix(7)
		if b := readMemory(tid, args[1], int(args[2])); len(b) > family && binary.NativeEndian.Uint16(b) == unix.AF_UNIX {
			names = append(names, string(bytes.TrimRight(b[family:], "\x00")))
		}
	}
	for i, name := range names {
		if b, in := below(dir, name); in {
			names[i], ok = b, true
		}
	}
	return strings.Join(names, " → "), ok
}

// changing are the calls after which something is not as before. An openat is one if it may create or truncate.
var changing = map[string]bool{"bind": true, "unlinkat": true, "mkdirat": true, "mknodat": true, "fchmodat": true, "fchownat": true, "lchown": true, "chown": true,
	"utimensat": true, "renameat": true, "renameat2": true, "linkat": true, "symlinkat": true, "write": true, "pwrite64": true, "writev": true,
	"ftruncate": true, "fallocate": true, "fchmod": true, "fchown": true, "flock": true, "fsetxattr": true, "setxattr": true, "lsetxattr": true,
	"copy_file_range": true, "sendfile": true, "splice": true}

// below names a file as seen from dir, by a name that is the same in every run: identifiers that are drawn at random, and pids, are taken out.
func below(dir, path string) (string, bool) {
	path = filepath.Clean(path)
	if path == dir {
		return ".", true
	}
	path, ok := strings.CutPrefix(path, dir+"/")
	return drawn.ReplaceAllString(path, "$1*"), ok
}

var drawn = regexp.MustCompile(`(instances/|instance\.json\.|versions/[^/]*-|download/)[^/.]+`)

func bufferArgument(tid int, args [6]uint64, n int) []byte {
	if n < 0 {
		n = int(args[2])
	}
	return readMemory(tid, args[1], min(n, 64))
}

func firstVector(tid int, args [6]uint64, n int) []byte {
	iov := vector(tid, args)
	if n < 0 {
		n = int(iov[1])
	}
	return readMemory(tid, iov[0], min(n, 64))
}

func firstLength(tid int, args [6]uint64) int { return int(vector(tid, args)[1]) }

// vector returns base and length of the first buffer of a msghdr.
func vector(tid int, args [6]uint64) (iov [2]uint64) {
	const place, size = 16, 8 // of msg_iov, see recvmsg(2)
	if b := readMemory(tid, args[1]+place, size); len(b) == size {
		if b = readMemory(tid, binary.NativeEndian.Uint64(b), 2*size); len(b) == 2*size {
			iov = [2]uint64{binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[size:])}
		}
	}
	return iov
}

func readMemory(tid int, addr uint64, n int) []byte {
	if n <= 0 {
		return nil
	}
	b := make([]byte, n)
	got, err := unix.ProcessVMReadv(tid, []unix.Iovec{{Base: &b[0], Len: uint64(n)}}, []unix.RemoteIovec{{Base: uintptr(addr), Len: n}}, 0)
	if err != nil {
		return nil
	}
	return b[:got]
}

// readString reads up to a zero byte, page by page: the next one may not be there.
func readString(tid int, addr uint64) string {
	var all []byte
	for len(all) < unix.PathMax {
		page := uint64(os.Getpagesize())
		b := readMemory(tid, addr, int(page-addr%page))
		if end := bytes.IndexByte(b, 0); end >= 0 || len(b) == 0 {
			return string(append(all, b[:max(end, 0)]...))
		}
		all = append(all, b...)
		addr += uint64(len(b))
	}
	return string(all)
}
