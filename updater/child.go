package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/moult-go/moult/grace/role"
)

// childEnv is what a stage or proof child may know of our environment: no secret lives in these.
var childEnv = []string{"PATH", "HOME", "LANG", "TZ", "GODEBUG", "SystemRoot"}

func cleanEnv() []string {
	env := []string{}
	for _, name := range childEnv {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// runRole starts the executable at path in a role, with input as its standard input, and returns what it
// wrote to the role's channel. The child has a clean environment, no descriptor of ours, and a process group of its
// own that is killed when ctx ends, or when it says too much. The error says what it wrote to its other outputs.
func runRole(ctx context.Context, path string, k role.Kind, input []byte, most int64) ([]byte, error) {
	for wait := time.Millisecond; ; wait *= 2 {
		answer, err := runOnce(ctx, path, k, input, most)
		// A descriptor that is open for writing may be carried along by a concurrent fork for a moment (golang/go#22315).
		if !isTextBusy(err) || wait > 256*time.Millisecond {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func runOnce(ctx context.Context, path string, k role.Kind, input []byte, most int64) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close()
	mark, err := role.Mark(k, w.Fd(), 1)
	if err != nil {
		return nil, err
	}
	words := &tail{most: maxWords, left: maxTalk}
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(cleanEnv(), mark)
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stdout, cmd.Stderr = words, words
	if input != nil {
		cmd.Stdin = bytes.NewReader(input)
	}
	cmd.WaitDelay = time.Second // grandchildren may hold the outputs open
	ownGroup(cmd)
	// Where a child dies with its parent, it is with the thread that started it: so that one stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w.Close()
	answer := make(chan []byte, 1)
	go func() { // ends with the pipe, at the latest when r is given a deadline
		b, _ := io.ReadAll(io.LimitReader(r, most+1))
		if int64(len(b)) > most {
			cmd.Cancel() // it would wait until somebody reads the rest
		}
		answer <- b
	}()
	err = cmd.Wait()
	killGroup(cmd)
	r.SetReadDeadline(time.Now().Add(time.Second))
	b := <-answer
	switch {
	case int64(len(b)) > most:
		err = fmt.Errorf("it answered more than %d bytes", most)
	case words.left < 0:
		err = errTalk
	case ctx.Err() != nil:
		err = fmt.Errorf("it did not end in time: %w", ctx.Err())
	}
	if said := printable(words.String(), maxWords); err != nil && said != "" {
		err = &childError{err, said}
	}
	return b, err
}

// childError is the failure of a child, with its last words.
type childError struct {
	err   error
	words string
}

func (e *childError) Error() string { return e.err.Error() + ": " + e.words }
func (e *childError) Unwrap() error { return e.err }

// wordsOf returns the last words of a process in err's chain.
func wordsOf(err error) string {
	var c *childError
	if errors.As(err, &c) {
		return c.words
	}
	var u Undoing
	if errors.As(err, &u) {
		return printable(u.Words(), maxWords)
	}
	return ""
}

// maxTalk is how many bytes a child may write to its outputs.
const maxTalk = 4 << 20

var errTalk = fmt.Errorf("it wrote more than %d bytes to its outputs", maxTalk)

// tail keeps the last bytes that are written to it, and takes no more than left.
type tail struct {
	b    []byte
	most int
	left int
}

func (t *tail) Write(p []byte) (int, error) {
	if t.left -= len(p); t.left < 0 {
		return 0, errTalk // which closes the pipe, and so ends the child
	}
	t.b = append(t.b, p...)
	if over := len(t.b) - t.most; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
