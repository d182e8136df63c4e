package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/page"
)

const (
	adminName = "admin"
	// maxSocketPath is what fits into a socket address everywhere: the limit is 104 bytes on macOS, 108 on Linux.
	maxSocketPath = 100
)

// place is where this line of processes can be found. Generation 1 chooses it; its successors learn it from
// the inherited socket.
type place struct {
	id   string
	home string // instance.json is in home/id
	sock string
}

func (r *runner) stateDir() string {
	switch {
	case r.u != nil:
		return r.u.StateDir()
	case r.s.StateDir != "":
		return r.s.StateDir
	}
	return admin.StateDir(r.p.InstallPath())
}

// openAdmin opens the admin socket: held back until this process is the one, as only one may answer there.
func (r *runner) openAdmin() (net.Listener, error) {
	if s, ok := r.p.Inherited(adminName); ok && s.Network == "unix" { // a unit may call a port so
		r.place = found(r.stateDir(), s.Address)
		s.Held, s.Mode = true, 0o600
		return r.p.Open(s)
	}
	pl, err := choose(r.stateDir())
	if err != nil {
		return nil, err
	}
	r.place = pl
	return r.p.Open(grace.Socket{Name: adminName, Network: "unix", Address: pl.sock, Held: true, Mode: 0o600})
}

// adminServer answers on the admin socket.
func (r *runner) adminServer(ctx context.Context) *http.Server {
	mux := r.opsHandler(page.Socket)
	mux.Handle("/v1/", admin.Handler(r, r.livez(), r.readyz(true)))
	(&profiler{ending: r.drains.channel}).handle(mux)
	srv := r.httpServer(ctx, admin.Guard(page.Guard(mux), r.s.Name, r.log))
	srv.ConnContext = admin.ConnContext
	srv.WriteTimeout = 0 // an upgrade takes as long as it takes
	return srv
}

// choose makes the directories of a new instance, and removes those of the dead.
func choose(stateDir string) (place, error) {
	id := strings.ToLower(rand.Text()[:6])
	var errs []error
	for i, home := range admin.Homes(stateDir) {
		pl := place{id, home, filepath.Join(home, id, "admin.sock")}
		if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
			pl.sock = filepath.Join(dir, id, "admin.sock")
		}
		if err := pl.make(i == 0, stateDir); err != nil {
			errs = append(errs, err)
			continue
		}
		return pl, nil
	}
	return place{}, errors.Join(errs...)
}

func (pl place) make(inState bool, stateDir string) error {
	if len(pl.sock) > maxSocketPath {
		return fmt.Errorf("path of the admin socket %s: %d bytes, more than %d", pl.sock, len(pl.sock), maxSocketPath)
	}
	dirs := []string{pl.home, filepath.Join(pl.home, pl.id), filepath.Dir(pl.sock)}
	if inState {
		dirs = append([]string{stateDir}, dirs...)
	}
	for _, dir := range dirs {
		if err := admin.MakePrivate(dir); err != nil {
			return fmt.Errorf("make a directory for the admin socket: %w", err)
		}
	}
	admin.Sweep(pl.home)
	return nil
}

// found is the place of an inherited admin socket.
func found(stateDir, sock string) place {
	pl := place{id: filepath.Base(filepath.Dir(sock)), sock: sock}
	for _, home := range admin.Homes(stateDir) {
		if fi, err := os.Lstat(filepath.Join(home, pl.id)); err == nil && fi.IsDir() {
			pl.home = home
			break
		}
	}
	return pl
}

func (r *runner) instance() admin.Instance {
	return admin.Instance{
		ID: r.place.id, App: r.s.Name, Version: r.s.Version, PID: os.Getpid(),
		Generation: r.p.Generation(), Admin: r.place.sock, Listen: r.addresses(),
	}
}

// announce writes instance.json, which makes this server one that can be found.
func (r *runner) announce() {
	if r.place.home == "" {
		return
	}
	if err := r.instance().Write(filepath.Join(r.place.home, r.place.id)); err != nil {
		r.log.Error("announce this server", "err", err)
	}
}

// leave removes the instance, unless a successor lives in it.
func (r *runner) leave() {
	if r.place.home != "" && errors.Is(admin.Alive(r.place.sock), admin.ErrDead) {
		r.instance().Remove(r.place.home)
	}
}

func (r *runner) addresses() []string { return addressesOf(r.listening) }

func addressesOf(listening []net.Listener) []string {
	list := []string{}
	for _, ln := range listening {
		if a := ln.Addr(); a.Network() == "unix" {
			list = append(list, "unix:"+a.String())
		} else {
			list = append(list, a.String())
		}
	}
	return list
}
