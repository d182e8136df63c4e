package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

const (
	commandDeadline = 2 * time.Minute // a token may wait for a finger
	commandOutput   = 64 << 10
	commandWords    = 1 << 10
)

// runCommand runs what the user named for a secret or a signature, by the shell: it may be a pipe. It has its own process group, so that
// nothing of it outlives its deadline. What it prints is secret and stays out of the error; what it says on standard error
// does not.
func runCommand(ctx context.Context, command string, stdin []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandDeadline)
	defer cancel()
	out, words := &commandOut{limit: commandOutput, strict: true}, &commandOut{limit: commandWords}
	c := exec.CommandContext(ctx, shell[0], append(shell[1:], command)...)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), out, words
	ownGroup(c)
	c.Cancel = func() error { return killGroup(c) }
	c.WaitDelay = 5 * time.Second
	err := c.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = killGroup(c) // it ended, and left something in the background that holds its output
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case out.over:
		err = fmt.Errorf("it prints more than %d bytes", commandOutput)
	}
	if err == nil {
		return out.kept.Bytes(), nil
	}
	if said := strings.TrimSpace(words.kept.String()); said != "" {
		return nil, fmt.Errorf("command: %w: %s", err, said)
	}
	return nil, fmt.Errorf("command: %w", err)
}

// commandOut keeps the beginning of what a command writes. It must not be a bytes.Buffer itself: io.Copy would go round Write.
type commandOut struct {
	kept   bytes.Buffer
	limit  int
	strict bool // more than that is an error, upon which the command loses its reader
	over   bool
}

func (c *commandOut) Write(p []byte) (int, error) {
	room := c.limit - c.kept.Len()
	switch {
	case room >= len(p):
		return c.kept.Write(p)
	case c.strict:
		c.over = true
		return 0, io.ErrShortWrite
	}
	c.kept.Write(p[:room])
	return len(p), nil
}
