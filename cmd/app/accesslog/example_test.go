package accesslog_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/moult-go/moult/cmd/app/accesslog"
)

// upToTime cuts what differs from run to run.
type upToTime struct{}

func (upToTime) Write(b []byte) (int, error) {
	line := string(b)
	return os.Stdout.WriteString(line[:strings.Index(line, "[")] + line[strings.Index(line, "]")+2:])
}

func Example() {
	log := accesslog.New(upToTime{}, accesslog.Options{Format: accesslog.Common})
	h := log.Handler(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/nowhere?token=secret", nil))
	// Output: 192.0.2.1 - - "GET /nowhere HTTP/1.1" 404 19
}
