package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// where says which running server is meant.
type where struct {
	stateDir string
	instance string
}

func (w *where) flags(cmd *cobra.Command, c cli) {
	config.Flag(cmd.Flags())
	cmd.Flags().StringVar(&w.stateDir, "state-dir", c.s.StateDir, "state `directory` (default .NAME.d beside the executable)")
	cmd.Flags().StringVar(&w.instance, "instance", "", "`ID` of the running server, if there are several")
}

// errNotRunning says that no server of this executable was found.
var errNotRunning = errors.New("no server is running")

// executable is the path of this program, links followed.
func executable() (string, error) {
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	return exe, nil
}

// running lists the servers of this executable.
func (w *where) running() ([]admin.Instance, error) {
	dir := w.stateDir
	if dir == "" {
		exe, err := executable()
		if err != nil {
			return nil, err
		}
		dir = admin.StateDir(exe)
	}
	list, err := admin.Instances(dir)
	if errors.Is(err, fs.ErrPermission) {
		err = &updater.Error{Class: updater.Permission, Reason: "state-directory", Err: err}
	}
	return list, err
}

// locate finds the running server, or returns errNotRunning.
func (w *where) locate() (admin.Instance, error) {
	list, err := w.running()
	if err != nil {
		return admin.Instance{}, err
	}
	return w.pick(list)
}

func (w *where) pick(list []admin.Instance) (admin.Instance, error) {
	var ids []string
	for _, in := range list {
		if in.ID == w.instance {
			return in, nil
		}
		ids = append(ids, in.ID)
	}
	switch {
	case w.instance != "" && len(list) == 0:
		return admin.Instance{}, usage("no server %q is running: there is none", w.instance)
	case w.instance != "":
		return admin.Instance{}, usage("no server %q is running: there is %s", w.instance, strings.Join(ids, ", "))
	case len(list) == 0:
		return admin.Instance{}, errNotRunning
	case len(list) > 1:
		return admin.Instance{}, usage("several servers are running: name one with --instance: %s", strings.Join(ids, ", "))
	}
	return list[0], nil
}

// server returns a client of the running server, nil if there is none.
func (w *where) server() (*client.Client, error) {
	in, err := w.locate()
	if errors.Is(err, errNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cl := client.New(in.Admin)
	cl.Locate = func() (string, error) {
		in, err := w.locate()
		return in.Admin, err
	}
	return cl, nil
}

// running is the running server, which there must be.
func (c cli) running(w *where) (remote, error) {
	cl, err := w.server()
	if cl == nil && err == nil {
		err = &admin.Failure{Class: updater.Failed, Reason: "not-running", Message: errNotRunning.Error(),
			Hint: fmt.Sprintf("to start one: %s serve", c.s.Name)}
	}
	return c.remote(cl, w), err
}
