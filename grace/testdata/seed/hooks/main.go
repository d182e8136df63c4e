// A server with hooks around its signals, flags of its own, a word before them, and a drain of a few seconds.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/beego/beego/v2/server/web/grace"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "serve" {
		log.Fatal("usage: hooks serve -addr host:port")
	}
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	addr := flags.String("addr", "", "where to listen")
	flags.Parse(os.Args[2:])

	grace.DefaultReadTimeOut = 10 * time.Second
	grace.DefaultWriteTimeOut = 10 * time.Second
	grace.DefaultMaxHeaderBytes = 1 << 16
	grace.DefaultTimeout = 10 * time.Second

	srv := grace.NewServer(*addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "WORLD!ospid:%d", os.Getpid())
	}))
	srv.Server.IdleTimeout = time.Minute
	srv.ErrorLog = log.Default()
	for sig, name := range map[os.Signal]string{syscall.SIGHUP: "HUP", syscall.SIGINT: "INT", syscall.SIGTERM: "TERM"} {
		for position, when := range map[int]string{grace.PreSignal: "before", grace.PostSignal: "after"} {
			err := srv.RegisterSignalHook(position, sig, func() { log.Println("hook", when, name, os.Getpid()) })
			if err != nil {
				log.Fatal(err)
			}
		}
	}
	srv.SignalHooks[grace.PreSignal][syscall.SIGHUP] = append(srv.SignalHooks[grace.PreSignal][syscall.SIGHUP], func() {
		log.Println("hook by hand", os.Getpid())
	})
	if err := srv.ListenAndServe(); err != nil {
		log.Fatal(err)
	}
	log.Println("stopped", os.Getpid())
}
