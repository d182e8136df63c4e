package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Service describes a program that serves. Only Handler or Start is needed, or Listeners that all have a Handler or Serve of their own.
type Service struct {
	Name    string // default: base name of the program
	Version string // default: "dev", which turns automatic updating off

	// Listen holds addresses, as Listener.Address has them: "host:port", or "unix:/path" for a Unix socket. Default: DefaultListen, if there are
	// no Listeners either.
	Listen []string
	// Listeners are more addresses: those with a handler, a certificate or a protocol of their own.
	Listeners []Listener
	// Ops holds addresses of operations listeners, like those of Listen: /metrics, and /livez and /readyz with the reasons of what fails. What they tell is
	// not for the public. "https://host:port" speaks TLS with the Service's certificate, anything else does not. Default: none; the
	// admin socket has the same.
	Ops []string
	// StatusPath mounts the status page on public listeners, without buttons and what is no stranger's business: "/status/". The page is always at / of
	// Ops and of the admin socket. Default: not there.
	StatusPath string
	// OpsTokenFile holds a token of at least 20 bytes that is typed on the page at Ops before its buttons may be pushed. Use TLS there, or
	// loopback. Default: no buttons but on the admin socket.
	OpsTokenFile string
	// AllowedHosts are names by which a browser may ask for the page at Ops, beside addresses, localhost and those in Ops.
	AllowedHosts []string
	// TLS is spoken on every port that does not say otherwise, HTTP/2 included. Default: none.
	TLS TLS
	// H2C speaks HTTP/2 without TLS too, where there is no TLS, with clients that begin so: for a proxy in front, or gRPC.
	H2C bool
	// Limits are those of connections. The zero value is safe.
	Limits Limits
	// Handler answers the requests. Its paths /livez and /readyz are never reached.
	Handler http.Handler
	// Start makes the Handler when it takes work. Run calls it once; status, version and the proof of a
	// candidate never do. In a successor it runs while the predecessor still serves: what only one process may
	// hold has to wait. ctx ends when the process does.
	Start func(ctx context.Context) (http.Handler, error)
	// OnReady is called once when this process serves (a successor: on probation).
	OnReady func()
	// Flags adds flags of the program's own to the command serve, and so to the configuration. It is called more than once, for
	// config check as well: it does nothing else.
	Flags func(*flag.FlagSet)
	// CheckFlags says what is wrong with their values, before anything is opened: config check asks it as well. Default: nothing.
	CheckFlags func() error
	// Environment lists variables that begin with the program's name (HELLO_…) and that it reads itself; package command takes all others for
	// settings, and refuses those that it does not know.
	Environment []string
	// Settings are what this process was configured with, for status and page: package command fills them in.
	Settings []admin.Setting

	Source     updater.Source   // nil: no updating
	Channel    string           // default "stable"
	Constraint string           // versions to keep to, as release.ParseConstraint reads it: ">= 1.2, < 2"; default: any
	Windows    []updater.Window // when updates are applied by themselves; default: at any time
	Interval   time.Duration    // between two checks; default: the source's own; negative: only when asked
	StateDir   string           // default: .NAME.d beside the executable; the same file system

	Probation       time.Duration // after HUP; default 5 s
	UpdateProbation time.Duration // after an update; default 60 s
	DrainTimeout    time.Duration // default 60 s; negative: no deadline
	StartTimeout    time.Duration // default 60 s
	HealthInterval  time.Duration // default 1 s

	// Health is the program's own judgement of itself: asked by /readyz and, on probation, by the
	// predecessor. It should return well within HealthInterval. Default: always well.
	Health func(ctx context.Context) error
	// Checks are further judgements, by name: {"database": db.PingContext}. They count like Health, are asked at the same time, and have a line
	// each in /readyz?verbose. A name is lowercase letters, digits and ._-, and begins with a letter.
	Checks map[string]func(ctx context.Context) error
	// ReplaceFirst replaces the executable before the handover instead of after probation, and puts the
	// previous one back on failure: for systems whose policies are bound to the path.
	ReplaceFirst bool
	// KeepVersions is how many versions stay on disk to go back to, that which is installed included: default 4, at least 2. KeepBytes
	// limits the room that they take beside the installed file, the previous one stays all the same: default 0, no limit.
	KeepVersions int
	KeepBytes    int64
	// FollowInstalled restarts with what others put at the path of the executable, such as a package manager, as HUP would. Of
	// several instances of one executable, those that do not update it always do so. Default: HUP asks for it.
	FollowInstalled bool

	// Disabled turns self-updating off and says what to do instead ("update it with apt"), for builds that others distribute.
	Disabled string
	// IgnorePackageManager updates the executable even if a package manager owns it. Default: nothing that one owns is replaced.
	IgnorePackageManager bool

	Logger *slog.Logger // default: text on standard error
	// LogLevel is what the level of Logger goes by, for operators to change while it runs. Default: they cannot; with no Logger
	// given, one of its own, which begins with INFO.
	LogLevel *slog.LevelVar
}

// ErrInvalid says that a Service cannot be run as it is described.
var ErrInvalid = errors.New("invalid service")

// Validate says what is wrong with s, as Run would: files of certificates that do not fit, too. It opens no socket and starts nothing.
func (s Service) Validate() error {
	s, err := s.filled()
	if err != nil {
		return err
	}
	for _, l := range s.listeners() {
		t, secure := s.tlsOf(l)
		if !secure {
			continue
		}
		if _, err := openTLS(t, false, slog.New(slog.DiscardHandler)); err != nil {
			return fmt.Errorf("%w: listener %s: %w", ErrInvalid, l.Address, err)
		}
	}
	return nil
}

// filled returns s with its defaults, or says what is wrong with it.
func (s Service) filled() (Service, error) {
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	}
	if s.Version == "" {
		s.Version = "dev"
	}
	if len(s.Listen)+len(s.Listeners) == 0 {
		s.Listen = []string{DefaultListen}
	}
	if s.HealthInterval == 0 {
		s.HealthInterval = time.Second
	}
	if s.Logger == nil {
		if s.LogLevel == nil {
			s.LogLevel = new(slog.LevelVar)
		}
		s.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: s.LogLevel}))
	}
	if s.Handler != nil && s.Start != nil || s.Handler == nil && s.Start == nil && s.needsHandler() {
		return s, fmt.Errorf("%w: it needs either a Handler or Start", ErrInvalid)
	}
	var err error
	if s.Limits, err = s.Limits.filled(); err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := errors.Join(s.checkChecks(), s.TLS.check(), s.checkListeners(), s.checkPage()); err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s, nil
}
