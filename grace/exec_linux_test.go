package grace_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func init() { programs["exec"] = execProgram }

// execProgram becomes itself GRACE_TEST_EXECS times, each time from a thread that is not the first of the process.
func execProgram() {
	left, _ := strconv.Atoi(os.Getenv("GRACE_TEST_EXECS"))
	if left == 0 {
		fmt.Println("last")
		time.Sleep(time.Minute) // until it is killed
		return
	}
	os.Setenv("GRACE_TEST_EXECS", strconv.Itoa(left-1))
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	failed := make(chan error)
	for range 2 { // each on a thread of its own
		go func() {
			runtime.LockOSThread()
			if syscall.Gettid() != syscall.Getpid() {
				failed <- syscall.Exec(exe, os.Args, os.Environ())
			}
			select {}
		}()
	}
	panic(<-failed)
}
