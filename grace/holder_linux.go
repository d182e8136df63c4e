package grace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// explain says who holds an address, if it is a process of the same executable.
func (p *Process) explain(s Socket, err error) error {
	if ours := (*otherKeyError)(nil); errors.As(err, &ours) || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	var found *InUseError
	for _, pid := range p.kin() {
		e, holds := inspect(pid, listening(s, pid))
		if holds && (found == nil || e.Generation > found.Generation) { // of several generations, the youngest
			found = e
		}
	}
	if found == nil {
		return err
	}
	found.Network, found.Address, found.Err = s.Network, s.Address, err
	return found
}

// kin are the other processes that run our executable, as far as we may know: the same file, or one that was
// at the same path.
func (p *Process) kin() (list []int) {
	ours, _ := os.Stat("/proc/self/exe")
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe := "/proc/" + e.Name() + "/exe"
		path, err := os.Readlink(exe)
		if err != nil {
			continue
		}
		theirs, err := os.Stat(exe)
		if strings.TrimSuffix(path, " (deleted)") == p.installPath || err == nil && ours != nil && os.SameFile(ours, theirs) {
			list = append(list, pid)
		}
	}
	return list
}

// inspect looks through the descriptors of a process for one of the sockets, and for its stamp.
func inspect(pid int, inodes []string) (e *InUseError, holds bool) {
	e = &InUseError{PID: pid}
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		to, _ := os.Readlink(dir + entry.Name())
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			holds = holds || slices.Contains(inodes, strings.TrimSuffix(inode, "]"))
		} else if generation, parent, ok := readStamp(to); ok {
			e.Generation, e.Survivor = generation, !descends(pid, parent)
		}
	}
	return e, holds
}

// descends reports whether ancestor is above pid.
func descends(pid, ancestor int) bool {
	for pid > 1 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if err != nil || len(fields) < 2 {
			return false
		}
		if pid, err = strconv.Atoi(string(fields[1])); err != nil {
			return false
		}
		if pid == ancestor {
			return true
		}
	}
	return false
}

// sameName reports whether a Unix socket that pid may have bound is the one at our address. The table has the
// name as it was given, which may be relative to a directory.
func sameName(address, bound string, pid int) bool {
	if strings.HasPrefix(bound, "@") {
		return bound == address
	}
	if !filepath.IsAbs(bound) {
		bound = "/proc/" + strconv.Itoa(pid) + "/cwd/" + bound
	}
	ours, err1 := os.Stat(address)
	theirs, err2 := os.Stat(bound)
	return err1 == nil && err2 == nil && os.SameFile(ours, theirs)
}

// listening lists the inodes of the sockets that listen where s would, as the tables in /proc/net have them; of
// Unix sockets, those that pid may have bound.
func listening(s Socket, pid int) []string {
	if s.Network == "unix" {
		return fieldsWhere("unix", 6, func(f []string) bool { return len(f) > 7 && sameName(s.Address, f[7], pid) })
	}
	addr, err := net.ResolveTCPAddr(s.Network, s.Address)
	if err != nil {
		return nil
	}
	here := func(f []string) bool {
		ip, port, _ := strings.Cut(f[1], ":")
		const listen = "0A"
		return f[3] == listen && port == fmt.Sprintf("%04X", addr.Port) &&
			(addr.IP == nil || addr.IP.IsUnspecified() || strings.Trim(ip, "0") == "" || ip == tableIP(addr.IP))
	}
	return append(fieldsWhere("tcp", 9, here), fieldsWhere("tcp6", 9, here)...)
}

// tableIP writes an address as the tables do: words of four bytes, each in the byte order of the machine.
func tableIP(ip net.IP) (s string) {
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	for ; len(ip) >= 4; ip = ip[4:] {
		s += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(ip))
	}
	return s
}

// fieldsWhere returns one field of the lines of a table for which which returns true.
func fieldsWhere(table string, field int, which func([]string) bool) (list []string) {
	b, _ := os.ReadFile("/proc/self/net/" + table)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > field && which(f) {
			list = append(list, f[field])
		}
	}
	return list
}
