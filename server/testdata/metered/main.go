// Command metered is a service whose metrics are read in tests: it takes what the directory "offer" beside it has.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/updater"
)

var version = "dev" // set by the linker

func main() {
	logFile, err := os.OpenFile("log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, version) })
	mux.HandleFunc("/hold", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.Copy(conn, rw)
			conn.Close()
		}
	})
	err = server.Run(context.Background(), server.Service{
		Name: "metered", Version: version, Handler: mux,
		Listen: []string{"127.0.0.1:0"}, Ops: []string{"127.0.0.1:0"},
		Source: folder{}, Interval: 1000 * time.Hour, IgnorePackageManager: true,
		Probation: 1500 * time.Millisecond, UpdateProbation: 1500 * time.Millisecond, HealthInterval: 100 * time.Millisecond,
		Checks: map[string]func(context.Context) error{"database": func(context.Context) error {
			if _, err := os.Stat("database is down"); err == nil {
				return errors.New("connection refused")
			}
			return nil
		}},
		OnReady: func() {
			if _, err := os.Stat("crash"); err == nil {
				time.AfterFunc(300*time.Millisecond, func() { os.Exit(3) })
			}
		},
		Logger: slog.New(slog.NewTextHandler(logFile, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
}

// folder is a source of one executable, offer/VERSION, whose metadata expires.
type folder struct{}

func (folder) String() string { return "the directory offer" }

func (folder) Check(context.Context, updater.Query) ([]updater.Candidate, error) {
	entries, err := os.ReadDir("offer")
	if err != nil {
		return nil, err
	}
	var list []updater.Candidate
	for _, e := range entries {
		f, err := os.Open("offer/" + e.Name())
		if err != nil {
			return nil, err
		}
		defer f.Close()
		d, n, err := release.DigestReader(f)
		if err != nil {
			return nil, err
		}
		list = append(list, updater.Candidate{Version: release.MustParseVersion(strings.TrimPrefix(e.Name(), "v")), Platform: release.Host(), Channel: "stable",
			Length: n, Digest: d, Full: release.Payload{Path: e.Name(), Length: n, SHA256: d}})
	}
	return list, nil
}

func (folder) Fetch(_ context.Context, _ updater.Query, p release.Payload, dst io.Writer) error {
	f, err := os.Open("offer/" + p.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(dst, f)
	return err
}

func (folder) Expiries() []updater.Expiry {
	return []updater.Expiry{{Role: "root", Expires: time.Now().AddDate(1, 0, 0)}, {Role: "timestamp", Expires: time.Now().AddDate(0, 0, 7)}}
}
