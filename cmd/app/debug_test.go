package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDebug(t *testing.T) {
	h := debugHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for path, code := range map[string]int{"/debug/sleep?ms=1": 200, "/debug/sleep": 400, "/debug/sleep?ms=-1": 400, "/a.txt": 200} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != code || w.Header().Get("X-Version") != version || w.Header().Get("X-Pid") == "" {
			t.Errorf("%s: %d %v, want %d", path, w.Code, w.Header(), code)
		}
	}
}
