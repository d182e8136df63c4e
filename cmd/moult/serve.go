package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// stopTime is how long downloads may go on after a signal.
const stopTime = 10 * time.Second

func newServe() *cobra.Command {
	s := server{}
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve a feed over HTTP, as a static file server should",
		Long: `Serve the feed in DIR: its files and nothing else, with the headers that caches need, strong ETags and ranges. Requests are logged on standard
error. It stops at INT or TERM, and lets downloads go on for 10 seconds. Any web server does as well: docs/howto/hosting.md.`,
		Example: "  moult serve feed --listen localhost:8000",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (s.cert == "") != (s.key == "") {
				return &usageError{errors.New("--tls-cert and --tls-key go together")}
			}
			s.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return s.run(cmd.Context(), args[0], func(url string) error {
				return emit(cmd, &serveResult{Schema: schema, URL: url, Dir: args[0]})
			})
		},
	}
	cmd.Flags().StringVar(&s.listen, "listen", "localhost:8000", "`address` to listen on")
	cmd.Flags().StringVar(&s.cert, "tls-cert", "", "`file` with the certificate chain, for https")
	cmd.Flags().StringVar(&s.key, "tls-key", "", "`file` with the certificate's key")
	return cmd
}

// server is one moult serve.
type server struct {
	listen, cert, key string
	log               *slog.Logger
}

// run serves dir until ctx is done. It calls up with the URL when requests are answered.
func (s *server) run(ctx context.Context, dir string, up func(url string) error) error {
	root, err := openFeedDir(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	srv := &http.Server{
		Handler:           logged(s.log, static{root}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	scheme := "http"
	if s.cert != "" {
		scheme = "https"
	}
	go func() {
		if s.cert != "" {
			done <- srv.ServeTLS(ln, s.cert, s.key)
		} else {
			done <- srv.Serve(ln)
		}
	}()
	if err := up(scheme + "://" + ln.Addr().String() + "/"); err != nil {
		srv.Close()
		return errors.Join(err, ignoreClosed(<-done))
	}
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		srv.Close()
	}
	return ignoreClosed(<-done)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// openFeedDir opens a directory so that nothing outside of it can be reached.
func openFeedDir(dir string) (*os.Root, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, errors.Join(&usageError{fmt.Errorf("%s is not a directory", dir)}, err)
	}
	return os.OpenRoot(dir)
}

// logged writes a line for each request.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &noted{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(n, r)
		log.Info("request", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "status", n.status, "bytes", n.bytes,
			"agent", r.UserAgent())
	})
}

// noted remembers what was answered.
type noted struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

func (n *noted) Write(p []byte) (int, error) {
	c, err := n.ResponseWriter.Write(p)
	n.bytes += int64(c)
	return c, err
}

// ReadFrom keeps sendfile within reach.
func (n *noted) ReadFrom(r io.Reader) (int64, error) {
	c, err := io.Copy(n.ResponseWriter, r)
	n.bytes += c
	return c, err
}

type serveResult struct {
	Schema int    `json:"schema"`
	URL    string `json:"url"`
	Dir    string `json:"dir"`
}

func (r *serveResult) text(w io.Writer) { fmt.Fprintln(w, r.URL) }
