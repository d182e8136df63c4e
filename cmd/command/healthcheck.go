package command

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		timeout time.Duration
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running server whether it is ready; for containers",
		Long: `Ask the running server over its admin socket whether it is ready, or ask the URL. It needs no shell and no curl, writes nothing, and ends in time:
with 0 if the server serves and is well, with 1 if it drains, is ill, does not answer or is not there.`,
		Example: fmt.Sprintf(`  HEALTHCHECK CMD ["/%[1]s", "healthcheck"]
  %[1]s healthcheck --url http://localhost:8080/readyz`, c.s.Name),
		Args: arguments(0),
	}
	w.flags(cmd, c)
	cmd.Flags().StringVar(&url, "url", "", "ask this URL instead, which must answer 200")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the answer may take in all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		asked, err := url, error(nil)
		if url != "" {
			err = askURL(ctx, url)
		} else {
			asked, err = w.askReady(ctx)
		}
		var own *admin.Failure
		switch {
		case errors.Is(err, errNotRunning):
			return &admin.Failure{Class: updater.Failed, Reason: "not-running", Message: err.Error(),
				Hint: fmt.Sprintf("if its state directory cannot be written, name the URL: %s healthcheck --url http://localhost:8080/readyz", c.s.Name)}
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
