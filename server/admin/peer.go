package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/moult-go/moult/updater"
)

// peer is the process on the other end of a connection, as the kernel names it, or why that is not known.
type peer struct {
	updater.Asker
	err error
}

type ofConnection struct{}

// ConnContext is for http.Server.ConnContext of the server on the admin socket: it asks the kernel who has connected, for [Guard].
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return withPeer(ctx, askKernel(conn))
}

func withPeer(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, ofConnection{}, p)
}

func askKernel(conn net.Conn) (p peer) {
	sc, ok := conn.(syscall.Conn)
	if !ok || conn.LocalAddr().Network() != "unix" {
		p.err = errors.New("this is no Unix socket")
		return p
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		p.err = err
		return p
	}
	if err := raw.Control(func(fd uintptr) { p.Asker, p.err = credentials(int(fd)) }); err != nil {
		p.err = err
	}
	return p
}

// Guard lets only this process's own user and root through to next, as ConnContext has found them, and logs what they change. Without
// ConnContext nobody gets through.
func Guard(next http.Handler, app string, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, err := admit(r.Context())
		if err != nil {
			log.Warn("refused on the admin socket", "method", r.Method, "path", r.URL.Path, "err", err)
			writeJSON(w, http.StatusForbidden, Line{Error: NewFailure(app, "", err)})
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && by != nil {
			log.Info("asked on the admin socket", "method", r.Method, "path", r.URL.Path, "by", by.String(), "uid", by.UID, "pid", by.PID)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ofAsker{}, by)))
	})
}

type ofAsker struct{}

// AskerOf is whom Guard has let through with the request of ctx, nil if that is not known.
func AskerOf(ctx context.Context) *updater.Asker {
	by, _ := ctx.Value(ofAsker{}).(*updater.Asker)
	return by
}

// admit returns who asks, or why nobody is told: only this process's own user and root may ask. The file system says so as well (a socket of
// mode 0600 in a directory of 0700); this holds where somebody has made the socket reachable, by a mount into a container say. Where the
// kernel does not tell (errUnnamed), the file system alone decides, and nobody is named.
func admit(ctx context.Context) (*updater.Asker, error) {
	p, ok := ctx.Value(ofConnection{}).(peer)
	switch {
	case !ok:
		p.err = errors.New("nobody has asked the kernel")
	case errors.Is(p.err, errUnnamed):
		return nil, nil
	}
	if p.err != nil {
		return nil, refusal("who asks is not known: %w", p.err)
	}
	if euid := os.Geteuid(); p.UID != euid && p.UID != 0 {
		return nil, refusal("user %d may not ask a server of user %d", p.UID, euid)
	}
	a := p.Asker
	a.User = nameOf(a.UID)
	return &a, nil
}

func refusal(format string, args ...any) error {
	return &updater.Error{Class: updater.Permission, Reason: "peer", Err: fmt.Errorf(format, args...)}
}

// nameOf is the user's name, or "" where there is none.
func nameOf(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return ""
	}
	return u.Username
}

// errUnnamed says that this system does not tell who has connected.
var errUnnamed = errors.New("this system does not name who connects")
