package main

import (
	"net/http"
	"os"
	"strconv"
	"time"
)

// maxSleep caps what a stranger can make a request last.
const maxSleep = 30 * time.Second

// debugHandler adds what demonstrations and tests look at: a slow answer, and who gave it.
func debugHandler(next http.Handler) http.Handler {
	pid := strconv.Itoa(os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/sleep", sleep)
	mux.Handle("/", next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", version)
		w.Header().Set("X-Pid", pid)
		mux.ServeHTTP(w, r)
	})
}

// sleep answers after as many milliseconds as the query says.
func sleep(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil || ms < 0 {
		http.Error(w, "want ms=N", http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(min(time.Duration(ms)*time.Millisecond, maxSleep)):
		w.Write([]byte("slept\n"))
	case <-r.Context().Done():
	}
}
