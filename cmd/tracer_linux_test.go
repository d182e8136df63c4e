//go:build amd64

package cmd_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A moment is one side of a system call that a process makes on a watched file, or of a frame of the handover that it sends or
// receives. Its name is the same in every run.
type moment struct {
	role string // that of package role; of the first process, what the tracer was told
	call string // "renameat"; "send COMMIT", "receive COMMIT"
	path string // below the watched directory; "from → to" where there are two; "" for a frame
	nth  int    // among those of its process with the same role, call and path, whichever thread makes them; from 1
	done bool   // after the call rather than before
}

func (m moment) String() string {
	side := "before"
	if m.done {
		side = "after"
	}
	return fmt.Sprintf("%s %s %s %s #%d", side, m.role, m.call, m.path, m.nth)
}

// A sight is what a tracer sees of a moment.
type sight struct {
	moment
	pid     int
	changes bool // others may see a difference now: the call has come back, changed a file, or sent or took a frame
}

// A tracer stops a process and all that descend from it at both sides of a system call, and may kill one there: it stands still,
// so that nothing happens in between. A filter (seccomp) lets all other calls pass as if there was no tracer.
//
// strace would do but for three things: its fault injection counts calls by thread, between which Go moves its goroutines; it cannot tell a
// predecessor from its successor; and it kills before a call only.
type tracer struct {
	dir   string                 // what lies below it is watched
	calls []string               // the calls that are looked at, as a moment names them; none: all
	role  atomic.Pointer[string] // of the first process
	at    func(sight) bool       // called while the thread stands still: whether to kill its process
	off   atomic.Bool            // look no more

	threads map[int]*thread
	counts  map[counted]int
}

type thread struct {
	pid  int // of its process
	role *string
	next moment // the call that it is in
	call *shape
	args [6]uint64
	met  bool // next is watched
	may  bool // the call may change something
}

type counted struct {
	pid              int
	role, call, path string
}

// traceOptions let no process get away, and none outlive the tracer.
const traceOptions = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
	unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL

// start runs a program under the tracer and returns its pid. ended is closed when the last of its line is gone.
func (t *tracer) start(role, path string, args []string, attr *os.ProcAttr) (pid int, ended <-chan struct{}, err error) {
	t.role.Store(&role)
	t.threads, t.counts = map[int]*thread{}, map[counted]int{}
	type birth struct {
		pid int
		err error
	}
	born, over := make(chan birth), make(chan struct{})
	go func() { // ends with its last tracee
		defer close(over)
		runtime.LockOSThread() // ptrace knows threads; never unlocked, so that the thread ends, and with it what is left
		pid, err := t.launch(path, args, attr)
		born <- birth{pid, err}
		if err == nil {
			t.run()
		}
	}()
	b := <-born
	return b.pid, over, b.err
}

func (t *tracer) launch(path string, args []string, attr *os.ProcAttr) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	attr.Env = append(attr.Env, filterEnv+"="+strings.Join(t.numbers(), ","))
	attr.Sys = &syscall.SysProcAttr{Ptrace: true}
	p, err := os.StartProcess(self, append([]string{self, path}, args...), attr)
	if err != nil {
		return 0, err
	}
	pid := p.Pid
	p.Release()
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, unix.WALL, nil); err != nil {
		return 0, err
	}
	if err := syscall.PtraceSetOptions(pid, traceOptions); err != nil {
		return 0, err
	}
	t.threads[pid] = &thread{pid: pid}
	return pid, syscall.PtraceCont(pid, 0)
}

// numbers lists the system calls that make the calls to look at.
func (t *tracer) numbers() (list []string) {
	for nr, s := range shapes {
		for _, call := range t.calls {
			if call == s.name || s.message != nil && (s.receives && strings.HasPrefix(call, "receive ") || !s.receives && strings.HasPrefix(call, "send ")) {
				list = append(list, fmt.Sprint(nr))
				break
			}
		}
		if len(t.calls) == 0 {
			list = append(list, fmt.Sprint(nr))
		}
	}
	return list
}

// filterEnv makes of this program one that sets a filter and then becomes another.
const filterEnv = "MOULT_TEST_FILTER"

func init() {
	if list, ok := os.LookupEnv(filterEnv); ok {
		os.Unsetenv(filterEnv)
		fmt.Fprintln(os.Stderr, "start under a filter:", becomeFiltered(list, os.Args[1:]))
		os.Exit(1)
	}
}

func becomeFiltered(list string, args []string) error {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	for n := range strings.SplitSeq(list, ",") {
		if n == "" { // none
			continue
		}
		nr, err := strconv.ParseUint(n, 10, 32)
		if err != nil {
			return err
		}
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}

func (t *tracer) run() {
	for {
		tid, ws, err := t.next()
		switch {
		case err != nil:
			return
		case !ws.Stopped():
			delete(t.threads, tid)
			continue
		}
		th, known := t.threads[tid]
		if !known {
			th = &thread{pid: processOf(tid)}
			if leader := t.threads[th.pid]; leader != nil {
				th.role = leader.role
			} else if th.pid != tid {
				th.role = roleOf(th.pid)
			}
			t.threads[tid] = th
		}
		var sig syscall.Signal
		resume := syscall.PtraceCont
		switch s := ws.StopSignal(); {
		case s == syscall.SIGTRAP && ws.TrapCause() == unix.PTRACE_EVENT_SECCOMP && !t.off.Load():
			if t.enter(tid, th) {
				resume = syscall.PtraceSyscall // up to its return
			}
		case s == syscall.SIGTRAP|0x80:
			t.leave(tid, th)
		case s == syscall.SIGTRAP && ws.TrapCause() == unix.PTRACE_EVENT_EXEC:
			th.role = roleOf(th.pid)
			t.executed(th)
		case s == syscall.SIGTRAP && ws.TrapCause() > 0:
		case s == syscall.SIGSTOP && !known: // how a new one begins
		default:
			sig = s
		}
		resume(tid, int(sig)) // one that was killed cannot be
	}
}

// next waits until something happens to a tracee. There are other children: those of other threads, which are left alone, and those that this
// thread has started for somebody else before it became the tracer's; of these somebody else takes the end.
func (t *tracer) next() (tid int, ws syscall.WaitStatus, err error) {
	for {
		var info unix.Siginfo
		err = unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, ws, err
		}
		const place = 16 // of si_pid
		tid := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), place)))
		if t.threads[tid] == nil && statusOf(tid, "TracerPid") == 0 {
			time.Sleep(time.Millisecond) // until then
			continue
		}
		// It may have died since, and is no use before its other threads are gone: those first.
		if got, _ := syscall.Wait4(tid, &ws, unix.WALL|unix.WNOTHREAD|unix.WNOHANG, nil); got > 0 {
			return tid, ws, nil
		}
	}
}

// processOf finds the process of a thread.
func processOf(tid int) int {
	if pid := statusOf(tid, "Tgid"); pid != 0 {
		return pid
	}
	return tid
}

// statusOf reads a number from /proc/TID/status, 0 if there is none.
func statusOf(tid int, field string) (n int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	_, rest, _ := strings.Cut(string(b), "\n"+field+":")
	fmt.Sscan(rest, &n)
	return n
}

var roleMark = regexp.MustCompile(`(?:^|\x00)MOULT_ROLE=([a-z]+):`)

// roleOf reads the role that a process was started in, nil for none.
func roleOf(pid int) *string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if m := roleMark.FindSubmatch(b); m != nil {
		role := string(m[1])
		return &role
	}
	return nil
}

// enter is the moment before a system call, if it is watched, or may turn out to be.
func (t *tracer) enter(tid int, th *thread) bool {
	info := syscallInfo(tid)
	c := shapes[info.nr]
	if c == nil || info.op != infoSeccomp {
		return false
	}
	th.call, th.args, th.may = c, info.args, changing[c.name] || c.name == "openat" && info.args[2]&(unix.O_CREAT|unix.O_TRUNC) != 0
	th.next.call = c.name
	th.next.path, th.met = c.path(t.dir, tid, th.args)
	th.met = th.met && !looksBack(tid, c, th.next.path, th.args)
	if !th.met && c.message != nil && !c.receives {
		th.frame(tid, "send ", -1)
	}
	if th.met {
		t.count(tid, th)
		t.offer(th, false, false)
	}
	return th.met || c.receives
}

// looksBack reports whether a call reads the history, as one that looks for the status: it comes in one run and not in another.
func looksBack(tid int, c *shape, path string, args [6]uint64) bool {
	switch {
	case !strings.HasSuffix(path, "/history.jsonl"):
		return false
	case c.name == "openat":
		return args[2]&unix.O_ACCMODE == unix.O_RDONLY
	case len(c.fds) == 1:
		fi, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(args[c.fds[0]])))
		return err == nil && fi.Mode()&0o200 == 0 // open to be read only
	}
	return c.name == "newfstatat"
}

// leave is the moment after it.
func (t *tracer) leave(tid int, th *thread) {
	info := syscallInfo(tid)
	if info.op != infoExit || th.call == nil {
		return
	}
	if !th.met && th.call.receives {
		if th.frame(tid, "receive ", int(info.nr)); th.met {
			t.count(tid, th)
		}
	}
	if th.met {
		t.offer(th, true, th.may && int64(info.nr) >= 0)
	}
	th.call, th.met = nil, false
}

// executed makes a moment of the first one of a new image.
func (t *tracer) executed(th *thread) {
	image, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", th.pid))
	below, ok := below(t.dir, image)
	if !ok {
		return
	}
	th.next.call, th.next.path = "execve", below
	t.count(th.pid, th)
	t.offer(th, true, true)
}

func (t *tracer) count(tid int, th *thread) {
	th.next.role = *t.role.Load()
	if th.role != nil {
		th.next.role = *th.role
	}
	key := counted{th.pid, th.next.role, th.next.call, th.next.path}
	t.counts[key]++
	th.next.nth = t.counts[key]
}

func (t *tracer) offer(th *thread, done, changes bool) {
	th.next.done = done
	if !t.off.Load() && t.at(sight{th.next, th.pid, changes}) {
		syscall.Kill(th.pid, syscall.SIGKILL)
	}
}

// frame makes a moment of a frame of the handover: 4 bytes of length, then a kind and a question mark. The receiver reads
// the length by itself. n is what was transferred, -1 for all.
func (th *thread) frame(tid int, verb string, n int) {
	b := th.call.message(tid, th.args, n)
	if !th.call.receives {
		if len(b) < 4 || int(binary.BigEndian.Uint32(b))+4 != th.call.length(tid, th.args) {
			return
		}
		b = b[4:]
	}
	if m := frameKind.FindSubmatch(b); m != nil {
		th.next.call, th.next.path, th.met = verb+string(m[1]), "", true
		th.may = true
	}
}

var frameKind = regexp.MustCompile(`^([A-Z]{2,})\?`)

// ptraceInfo is what PTRACE_GET_SYSCALL_INFO answers, see ptrace(2).
type ptraceInfo struct {
	op   uint8
	_    [7]uint8
	_, _ uint64
	nr   uint64 // before a call; after it the result
	args [6]uint64
	_    [2]uint64
}

const (
	ptraceGetSyscallInfo = 0x420e
	infoExit             = 2
	infoSeccomp          = 3
)

func syscallInfo(tid int) (info ptraceInfo) {
	syscall.Syscall6(syscall.SYS_PTRACE, ptraceGetSyscallInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	return info
}
