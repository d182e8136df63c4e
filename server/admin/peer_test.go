package admin_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moult-go/moult/server/admin"
)

// Nobody gets through whom the kernel has not named: a handler put on the wrong listener answers nobody.
func TestGuardOutsideOfTheSocket(t *testing.T) {
	asked := false
	h := admin.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }), "hello", slog.New(slog.DiscardHandler))
	bare := httptest.NewRecorder()
	h.ServeHTTP(bare, httptest.NewRequest("GET", "/v1/status", nil))
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnContext = admin.ConnContext
	srv.Start()
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if asked || bare.Code != 403 || res.StatusCode != 403 || !strings.Contains(string(body), `"reason":"peer"`) {
		t.Errorf("without ConnContext %d; over TCP %d %s; got through: %v", bare.Code, res.StatusCode, body, asked)
	}
}
