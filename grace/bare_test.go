//go:build unix

package grace_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// What every Go peer does at the least, and no more: fork-exec with the listening socket, and a word when the child serves. It
// is the floor that a handover is measured against, and the controls are made of it.
const (
	bareEnv      = "GRACE_TEST_BARE" // set in a child
	bareListener = 3
	bareReady    = 4
)

func init() { programs["bare"] = bareProgram }

// bareProgram serves on what it inherits until it is killed.
func bareProgram() {
	ln, err := bareListen()
	if err != nil {
		fatal(err)
	}
	go http.Serve(ln, http.HandlerFunc(hello))
	bareSayReady()
	select {}
}

// bareListen inherits the listener, or makes one.
func bareListen() (net.Listener, error) {
	if os.Getenv(bareEnv) == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	f := os.NewFile(bareListener, "listener")
	defer f.Close()
	return net.FileListener(f)
}

// bareSayReady tells the parent, if there is one.
func bareSayReady() {
	if os.Getenv(bareEnv) != "" {
		os.NewFile(bareReady, "ready").Close()
	}
}

// bareSpawn starts this executable as a child with ln, or without a socket if ln is nil, and returns when it is ready.
func bareSpawn(ln net.Listener, env ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket, err := os.Open(os.DevNull)
	if ln != nil {
		socket, err = ln.(*net.TCPListener).File()
	}
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command(exe)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), append(env, bareEnv+"=1")...)
	cmd.ExtraFiles = []*os.File{socket, w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	r.Read(make([]byte, 1)) // the end of it is the word
	return cmd, nil
}

// hangups must be asked for before anybody is told that the program is ready: a HUP that came earlier would kill it.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, errors.Join(errors.New("test program"), err))
	os.Exit(1)
}
