package updater

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// startTime returns field 22 of /proc/PID/stat; "" for a process that is gone or a zombie. One whose first thread alone is a zombie lives:
// execve by another thread ends that one, and takes its number.
func startTime(pid int) string {
	for {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			return ""
		}
		// The second field is the name in parentheses and may hold anything.
		i := bytes.LastIndexByte(b, ')')
		fields := strings.Fields(string(b[i+1:]))
		if i < 0 || len(fields) < 20 {
			return ""
		}
		switch state, threads := fields[0], fields[17]; {
		case state == "X": // about to be gone, or to have the number of the thread that called execve: for microseconds
		case state == "Z" && threads == "1":
			return ""
		default:
			return fields[19]
		}
	}
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

func exists(pid int) bool { return pid > 0 && syscall.Kill(pid, 0) != syscall.ESRCH }

// image stands for the file that a process executes, whatever became of its name.
func image(pid int) (os.FileInfo, error) {
	return os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
}
