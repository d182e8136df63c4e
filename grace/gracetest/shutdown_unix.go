//go:build unix

package gracetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// inheritedEnv tells a server of the control that it has inherited a listener and a pipe to close when it serves.
const inheritedEnv = "GRACETEST_INHERITED"

const (
	inheritedListener = 3
	inheritedReady    = 4
)

// serveUntilShutdown is the life of a server of the control: fork-exec with the socket, as in grace, then
// http.Server.Shutdown, as in the other libraries.
func (g *generation) serveUntilShutdown() {
	go dieWithTest()
	tell(event{name: "born"})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGUSR2, syscall.SIGTERM)
	_, inherited := os.LookupEnv(inheritedEnv)
	ln, err := g.listen(inherited)
	if err != nil {
		fail(err)
	}
	srv := &http.Server{Handler: g.h}
	go func() {
		serve := func() error { return srv.Serve(ln) }
		if g.tls {
			serve = func() error { return srv.ServeTLS(ln, filepath.Join(g.dir, certFile), filepath.Join(g.dir, keyFile)) }
		}
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			fail(err)
		}
	}()
	if inherited {
		os.NewFile(inheritedReady, "ready").Close()
	}
	tell(event{name: "ready", text: ln.Addr().String()})
	tell(event{name: "active"})
	for {
		if s := <-signals; s == syscall.SIGTERM {
			break
		}
		if err := bear(ln.(*net.TCPListener)); err != nil {
			tell(event{name: "undone", text: err.Error()})
			continue
		}
		break
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		fail(err)
	}
	tell(event{name: "ended"})
	g.t.Skipf("this server has shut down")
}

func (g *generation) listen(inherited bool) (net.Listener, error) {
	if !inherited {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	f := os.NewFile(inheritedListener, "listener")
	defer f.Close()
	return net.FileListener(f)
}

// duplicate copies the listener's descriptor. Its method File would put the socket into blocking mode, and Shutdown would then
// wait for one more connection.
func duplicate(ln *net.TCPListener) (*os.File, error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	var dup int
	var dupErr error
	err = raw.Control(func(fd uintptr) { dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), "listener"), nil
}

// bear starts a successor with the listener, and returns when it serves.
func bear(ln *net.TCPListener) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := duplicate(ln)
	if err != nil {
		return err
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{f, w}
	cmd.Env = append(os.Environ(), inheritedEnv+"=1")
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	tell(event{name: "spawned", about: cmd.Process.Pid})
	r.Read(make([]byte, 1)) // the end: it serves, or has died
	go cmd.Wait()
	return nil
}
