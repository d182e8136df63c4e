package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// healthDocument is what healthcheck --json prints of a server that is well; of another one it prints a failure.
type healthDocument struct {
	Schema int    `json:"schema"`
	Ready  bool   `json:"ready"`
	Asked  string `json:"asked"` // the admin socket or the URL
}

func (c cli) healthcheck() *cobra.Command {
	var (
		w       where
		url     string
		listen  []string
		cert    string
		timeout time.Duration
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running server whether it is ready; for containers",
		Long: `Ask the running server over its admin socket whether it is ready, or ask the URL. Where there is no admin socket, as on a read-only file system, the first address
that serve listens on by the same configuration is asked for /readyz. It needs no shell and no curl, writes nothing, and ends in time:
with 0 if the server serves and is well, with 1 if it drains, is ill, does not answer or is not there.`,
		Example: fmt.Sprintf(`  HEALTHCHECK CMD ["/%[1]s", "healthcheck"]
  %[1]s healthcheck --url http://localhost:8080/readyz`, c.s.Name),
		Args: arguments(0),
	}
	w.flags(cmd, c)
	cmd.Flags().StringVar(&url, "url", "", "ask this URL instead, which must answer 200")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the answer may take in all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	// From environment and file, as serve has them.
	cmd.Flags().StringArrayVar(&listen, "listen", defaultListen(c.s), "")
	cmd.Flags().StringVar(&cert, "tls-cert", c.s.TLS.Cert, "")
	cmd.Flags().Lookup("listen").Hidden, cmd.Flags().Lookup("tls-cert").Hidden = true, true
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		asked, err := url, error(nil)
		if url != "" {
			err = askURL(ctx, url)
		} else {
			asked, err = w.askReady(ctx)
		}
		if own := readyURL(listen, cert != ""); errors.Is(err, errNotRunning) && own != "" {
			asked, err = own, askURL(ctx, own)
		}
		var own *admin.Failure
		switch {
		case errors.Is(err, errNotRunning):
			return &admin.Failure{Class: updater.Failed, Reason: "not-running", Message: err.Error(),
				Hint: fmt.Sprintf("to start it: %[1]s serve; if it has no admin socket, name a URL: %[1]s healthcheck --url http://localhost:8080/readyz", c.s.Name)}
		case errors.As(err, &own):
			return err
		case err != nil:
			return &admin.Failure{Class: updater.Failed, Reason: "not-ready", Message: err.Error()}
		case asJSON:
			return printJSON(cmd.OutOrStdout(), healthDocument{admin.Schema, true, asked})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
		return err
	})
	return cmd
}

func (w *where) askReady(ctx context.Context) (socket string, err error) {
	in, err := w.locate()
	if err != nil {
		return "", err
	}
	return in.Admin, client.New(in.Admin).Ready(ctx)
}

// readyURL is where a server that listens so can be asked from its own host; "" if it speaks TLS everywhere, by a name that is not known here, or has no port.
func readyURL(listen []string, tls bool) string {
	for _, address := range listen {
		plain, isPlain := strings.CutPrefix(address, "http://")
		host, port, err := net.SplitHostPort(plain)
		if err != nil || strings.HasPrefix(address, "unix:") || tls && !isPlain {
			continue
		}
		switch host {
		case "", "0.0.0.0":
			host = "127.0.0.1"
		case "::":
			host = "::1"
		}
		return "http://" + net.JoinHostPort(host, port) + "/readyz"
	}
	return ""
}

// maxReasons bounds what is shown of a server's reasons.
const maxReasons = 4 << 10

// askURL wants a 200, and follows no redirect: that would be somebody else's health.
func askURL(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usage("--url: %v", err)
	}
	asker := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := asker.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxReasons))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", req.URL.Redacted(), resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
