package main

import (
	"context"
	"flag"
	"net/http"
)

// app is what the flags configure.
type app struct {
	dir        string
	debugSleep bool
}

func (a *app) flags(fs *flag.FlagSet) {
	fault.flags(fs)
	fs.StringVar(&a.dir, "dir", ".", "directory to serve")
	fs.BoolVar(&a.debugSleep, "debug-sleep", false, "answer /debug/sleep?ms=N, and tell the version in every answer")
}

func (a *app) start(ctx context.Context) (http.Handler, error) {
	fault.onStart()
	files, err := openFiles(a.dir)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { files.root.Close() })
	if a.debugSleep {
		return debugHandler(files), nil
	}
	return files, nil
}
