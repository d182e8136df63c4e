package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

type answer struct {
	status int
	body   string
}

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{Status: http.StatusText(a.status), StatusCode: a.status, Body: io.NopCloser(strings.NewReader(a.body)), Request: r, Header: http.Header{}}, nil
}

// FuzzAnswer: a server may be of any version, and may die in the middle of a line. An upgrade without a result is never taken for one that
// went well.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"event":{"phase":"check"}}`+"\n"+`{"result":{"outcome":"committed"}}`)
	f.Add(200, `{"event":{"phase":"fetch"}}`+"\n"+`{"resu`)
	f.Add(409, `{"error":{"class":"busy","message":"under way"}}`)
	f.Add(500, `null`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		c := &Client{http: &http.Client{Transport: answer{status, body}}}
		_, err := c.Upgrade(t.Context(), admin.Request{}, func(updater.Event) {})
		var cut *CutError
		var refused *admin.Failure
		switch {
		case err == nil:
			if status != 200 || !strings.Contains(strings.ToLower(body), "result") && !strings.Contains(body, `\u`) {
				t.Errorf("%d %q is a success", status, body)
			}
		case status == 200 && !errors.As(err, &cut) && !errors.As(err, &refused):
			t.Errorf("%d %q: %v", status, body, err)
		}
		if _, err := c.Status(t.Context()); err == nil && status != 200 {
			t.Errorf("%d %q is a status", status, body)
		}
	})
}
