package role

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Env is the environment variable that carries the role. It is unset before any other package can see it.
const Env = "MOULT_ROLE"

// First is the descriptor that the role is bound to; the other inherited ones follow it.
const First = 3

// mostDescriptors is far more than any process passes on; each is touched at the start.
const mostDescriptors = 1 << 16

// Sentinel is found in every executable that links this package, and so in every one that answers the proof
// role. Who looks for it in a candidate knows whether starting it in that role is safe.
const Sentinel = "moult-role/1 answers the proof on descriptor 3"

// Kind is a role.
type Kind string

// The roles. None is a start by a person or a supervisor.
const (
	None            Kind = ""
	FirstGeneration Kind = "first"
	Successor       Kind = "successor"
	Stage           Kind = "stage"
	Proof           Kind = "proof"
)

var (
	current  Kind
	count    int
	handlers = map[Kind]func(channel *os.File) error{}
)

func init() {
	v, ok := os.LookupEnv(Env)
	if !ok {
		return
	}
	os.Unsetenv(Env)
	k, n, id, ok := parse(v)
	if !ok || !isDescriptor(First, id) {
		return
	}
	current, count = k, n
	for fd := First; fd < First+n; fd++ {
		closeOnExec(fd)
	}
}

// Current returns the role of this process.
func Current() Kind { return current }

// Count returns how many descriptors were inherited for the role, from [First] on.
func Count() int { return count }

// Mark returns the environment entry that gives a child role k with n descriptors inherited from [First] on.
// fd is the number, in this process, of the descriptor that becomes First in the child.
func Mark(k Kind, fd uintptr, n int) (string, error) {
	id, err := describe(fd)
	if err != nil {
		return "", fmt.Errorf("bind role %s to descriptor %d: %w", k, fd, err)
	}
	return fmt.Sprintf("%s=%s:%d:%s", Env, k, n, id), nil
}

func parse(v string) (k Kind, n int, id string, ok bool) {
	kind, rest, ok1 := strings.Cut(v, ":")
	num, id, ok2 := strings.Cut(rest, ":")
	n, err := strconv.Atoi(num)
	switch k = Kind(kind); k {
	case FirstGeneration, Successor, Stage, Proof:
		return k, n, id, ok1 && ok2 && err == nil && n >= 1 && n <= mostDescriptors
	}
	return None, 0, "", false
}

// Handle registers what [Act] does in role k. The package that owns a role calls it from init.
// The channel is the descriptor [First].
func Handle(k Kind, f func(channel *os.File) error) { handlers[k] = f }

// Act returns at once in the usual role and in those of a first generation and a successor. In a stage or proof it does the job and
// exits: with status 0, or 1 after a line on standard error. r is what a proof answers; empty fields are
// filled from the build information.
func Act(r Report) {
	if current != Stage && current != Proof {
		return
	}
	f := handlers[current]
	if current == Proof {
		f = r.fill().write
	}
	err := fmt.Errorf("no handler for it is linked into %s", os.Args[0])
	if f != nil {
		err = f(os.NewFile(First, "role channel"))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: role %s: %v\n", Sentinel, current, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Report is what an executable says of itself in the proof role: one JSON document on descriptor [First].
// Its fields may grow; those here never change.
type Report struct {
	Schema   int    `json:"schema"`   // 1
	Name     string `json:"name"`     // of the application
	Version  string `json:"version"`  // of the application
	Module   string `json:"module"`   // main module path
	Platform string `json:"platform"` // os/arch
	// Protocols are the handover protocol versions that it speaks; none means it cannot be handed sockets.
	Protocols []int `json:"protocols"`
}

// Protocols is set by package grace at init to the handover protocol versions it speaks.
var Protocols []int

func (r Report) fill() Report {
	r.Schema = 1
	r.Platform = runtime.GOOS + "/" + runtime.GOARCH
	r.Protocols = Protocols
	if bi, ok := debug.ReadBuildInfo(); ok {
		if r.Module == "" {
			r.Module = bi.Main.Path
		}
		if r.Version == "" {
			r.Version = bi.Main.Version
		}
	}
	return r
}
