package main

import (
	"context"
	"flag"
	"net/http"

	"github.com/moult-go/moult/cmd/app/accesslog"
	"github.com/moult-go/moult/cmd/app/forwarded"
	"github.com/moult-go/moult/cmd/app/static"
	"github.com/moult-go/moult/server"
)

// app is what the flags configure.
type app struct {
	files      static.Options
	accessLog  string
	log        accesslog.Options
	trusted    []string
	debugSleep bool
}

func (a *app) flags(fs *flag.FlagSet) {
	fault.flags(fs)
	fs.StringVar(&a.files.Dir, "dir", ".", "directory to serve")
	fs.BoolVar(&a.files.List, "list", false, "list directories that have no index.html")
	fs.StringVar(&a.files.CacheControl, "cache-control", "", `Cache-Control of files, as "public, max-age=3600" (default none)`)
	fs.StringVar(&a.files.Fallback, "fallback", "", "file of --dir that answers for pages which do not exist, as single-page applications want (default 404)")
	fs.StringVar(&a.accessLog, "access-log", "", "file that gets a line for each request; - is standard output (default none)")
	fs.Func("access-log-format", "json, combined or common (default json)", func(s string) (err error) {
		a.log.Format, err = accesslog.ParseFormat(s)
		return err
	})
	fs.BoolVar(&a.log.Query, "access-log-query", false, "log queries too, which often carry secrets")
	fs.Func("trusted-proxy", "address, prefix (10.0.0.0/8) or unix: from there, X-Forwarded-For and the like are believed (repeatable; default nobody)", func(s string) error {
		a.trusted = append(a.trusted, s)
		_, err := forwarded.ParseTrust(a.trusted)
		return err
	})
	fs.BoolVar(&a.debugSleep, "debug-sleep", false, "answer /debug/sleep?ms=N, and tell the version in every answer")
}

func (a *app) start(ctx context.Context) (http.Handler, error) {
	fault.onStart()
	trust, err := forwarded.ParseTrust(a.trusted)
	if err != nil {
		return nil, err
	}
	files, err := static.Open(a.files)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { files.Close() })
	h := http.Handler(files)
	if a.debugSleep {
		h = debugHandler(h)
	}
	if a.accessLog == "" {
		return h, nil
	}
	a.log.Generation, a.log.Client = server.Generation(ctx), trust.Client
	log, err := accesslog.Open(a.accessLog, a.log)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { log.Close() })
	return log.Handler(h), nil
}
