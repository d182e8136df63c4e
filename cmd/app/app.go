package main

import (
	"context"
	"flag"
	"net/http"
	"time"

	"github.com/moult-go/moult/cmd/app/accesslog"
	"github.com/moult-go/moult/cmd/app/forwarded"
	"github.com/moult-go/moult/cmd/app/proxy"
	"github.com/moult-go/moult/cmd/app/static"
	"github.com/moult-go/moult/server"
)

// app is what the flags configure.
type app struct {
	files      static.Options
	proxy      proxy.Options
	accessLog  string
	log        accesslog.Options
	trusted    []string
	debugSleep bool
}

func (a *app) flags(fs *flag.FlagSet) {
	fault.flags(fs)
	a.fileFlags(fs)
	a.proxyFlags(fs)
	a.logFlags(fs)
	fs.BoolVar(&a.debugSleep, "debug-sleep", false, "answer /debug/sleep?ms=N, and tell the version in every answer")
}

func (a *app) fileFlags(fs *flag.FlagSet) {
	fs.StringVar(&a.files.Dir, "dir", "", "`directory` to serve (default \".\", and with --proxy none)")
	fs.BoolVar(&a.files.List, "list", false, "list directories that have no index.html")
	fs.StringVar(&a.files.CacheControl, "cache-control", "", "Cache-Control of files: a `header` such as \"public, max-age=3600\" (default none)")
	fs.StringVar(&a.files.Fallback, "fallback", "", "`file` of --dir that answers for pages which do not exist, as single-page applications want (default 404)")
}

func (a *app) proxyFlags(fs *flag.FlagSet) {
	fs.Func("proxy", "pass requests on by a `route`: URL, or PATH=URL for a path and those below it; http, https, h2c or unix:/path (repeatable: several of one path share the load)", func(s string) error {
		r, err := proxy.ParseRoute(s)
		a.proxy.Routes = append(a.proxy.Routes, r)
		return err
	})
	fs.BoolVar(&a.proxy.StripPrefix, "proxy-strip-prefix", false, "take PATH off what is passed on")
	fs.BoolVar(&a.proxy.RewriteHost, "proxy-rewrite-host", false, "send the upstream's own name as Host (default the client's)")
	fs.DurationVar(&a.proxy.HeaderTimeout, "proxy-timeout", time.Minute, "how long an upstream may take to begin an answer; negative: for ever")
	fs.StringVar(&a.proxy.HealthPath, "proxy-health", "", "`path` that upstreams are asked at; those that do not answer 2xx or 3xx get no requests (default: only those that refuse connections)")
	fs.DurationVar(&a.proxy.HealthInterval, "proxy-health-interval", 5*time.Second, "time between two such questions")
	fs.Func("trusted-proxy", "`address`, prefix (10.0.0.0/8) or unix: from there, X-Forwarded-For and the like are believed (repeatable; default nobody)", func(s string) error {
		a.trusted = append(a.trusted, s)
		_, err := forwarded.ParseTrust(a.trusted)
		return err
	})
}

func (a *app) logFlags(fs *flag.FlagSet) {
	fs.StringVar(&a.accessLog, "access-log", "", "`file` that gets a line for each request; - is standard output (default none)")
	fs.Func("access-log-format", "`format` of its lines: json, combined or common (default json)", func(s string) (err error) {
		a.log.Format, err = accesslog.ParseFormat(s)
		return err
	})
	fs.BoolVar(&a.log.Query, "access-log-query", false, "log queries too, which often carry secrets")
}

// check is for config check, and for serve before it opens anything for good.
func (a *app) check() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := a.openFiles(ctx)
	return err
}

// start makes the handler: files, what is passed on before them, and the log around both.
func (a *app) start(ctx context.Context) (http.Handler, error) {
	fault.onStart()
	trust, err := forwarded.ParseTrust(a.trusted)
	if err != nil {
		return nil, err
	}
	h, err := a.openFiles(ctx)
	if err != nil {
		return nil, err
	}
	if len(a.proxy.Routes) > 0 {
		a.proxy.Trust, a.proxy.Draining, a.proxy.Logger = trust, server.Draining, server.Logger(ctx)
		p, err := proxy.New(ctx, a.proxy)
		if err != nil {
			return nil, err
		}
		h = p.Handler(h)
	}
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

// openFiles serves the directory, until ctx ends. A proxy serves none unless it is told which.
func (a *app) openFiles(ctx context.Context) (http.Handler, error) {
	o := a.files
	if o.Dir == "" {
		if len(a.proxy.Routes) > 0 {
			return http.NotFoundHandler(), nil
		}
		o.Dir = "."
	}
	files, err := static.Open(o)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { files.Close() })
	return files, nil
}
