//go:build unix

package grace_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/gracetest"
	"github.com/moult-go/moult/grace/role"
)

// dropInProgram is the program that this package must replace beego's grace in.
func dropInProgram() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	err := grace.ListenAndServe(os.Getenv("GRACE_TEST_ADDR"), mux)
	log.Printf("ListenAndServe returned %v", err)
	if err != nil {
		os.Exit(1)
	}
	log.Println("Server on 8080 stopped")
}

func hello(w http.ResponseWriter, r *http.Request) {
	if s, err := strconv.ParseFloat(r.FormValue("sleep"), 64); err == nil {
		time.Sleep(time.Duration(s * float64(time.Second))) // what the client asked for
	}
	io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "WORLD!ospid:%d", os.Getpid())
}

func twoServersProgram() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	done := make(chan error, 2)
	for _, addr := range strings.Split(os.Getenv("GRACE_TEST_ADDR"), ",") {
		go func() { done <- grace.ListenAndServe(addr, mux) }()
	}
	if err := errors.Join(<-done, <-done); err != nil {
		log.Fatal(err)
	}
}

// fullProgram uses a Process of its own. As a successor it behaves as the file "behaviour" says.
func fullProgram() {
	behaviour := ""
	if role.Current() == role.Successor {
		b, _ := os.ReadFile("behaviour")
		behaviour = strings.TrimSpace(string(b))
	}
	switch behaviour {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot read the configuration")
		os.Exit(3)
	case "mute":
		time.Sleep(time.Hour) // says nothing; the test kills it
	case "late": // not before the test says so
		os.WriteFile("late", []byte(strconv.Itoa(os.Getpid())), 0o600)
		for _, err := os.Stat("go"); err != nil; _, err = os.Stat("go") {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	}
	var sick atomic.Bool
	var witness atomic.Value    // what others say of the successor
	var generation atomic.Int32 // known after New
	p, err := grace.New(grace.Options{
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		StartTimeout:    envDuration("GRACE_TEST_START", 5*time.Second),
		Probation:       envDuration("GRACE_TEST_PROBATION", 600*time.Millisecond),
		UpdateProbation: envDuration("GRACE_TEST_PROBATION", 600*time.Millisecond),
		DrainTimeout:    envDuration("GRACE_TEST_DRAIN", 10*time.Second),
		HealthInterval:  envDuration("GRACE_TEST_HEALTH", 500*time.Millisecond),
		MaxDraining:     envInt("GRACE_TEST_MAXDRAINING", 0),
		OnDrain:         func(c net.Conn) { io.WriteString(c, "move on\n") },
		OnEvent: func(e grace.Event) {
			writeLine("events", "%d: %s %d pid %d took %t %+v", generation.Load(), e.Step, e.Generation, e.PID, e.Took > 0, e.Counts)
		},
		StayParent: stayOf(os.Getenv("GRACE_TEST_STAY")),
		Health: func(context.Context) error {
			if sick.Load() {
				return errors.New("the cache is corrupt")
			}
			return nil
		},
		Witness: func(context.Context) error {
			if s, _ := witness.Load().(string); s != "" {
				return errors.New(s)
			}
			return nil
		},
		Orphaned: func(context.Context) (func() error, error) {
			return func() error { return os.WriteFile("orphan-committed", []byte(strconv.Itoa(os.Getpid())), 0o600) }, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	generation.Store(int32(p.Generation()))
	if behaviour == "hang" {
		time.Sleep(time.Hour) // as a start that never ends; the test kills it
	}
	if n, ok := strings.CutPrefix(behaviour, "extends="); ok {
		times, err := strconv.Atoi(n)
		if err != nil {
			log.Fatal(err)
		}
		for range times { // a start that takes long, and says so
			if err := p.Extend(); err != nil {
				log.Fatal(err)
			}
			time.Sleep(envDuration("GRACE_TEST_START", time.Second) / 2)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Generation", strconv.Itoa(p.Generation()))
		hello(w, r)
	})
	mux.HandleFunc("/tight", func(_ http.ResponseWriter, r *http.Request) { // no descriptor more for this process, or few
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			log.Fatal(err)
		}
		limit.Cur = 3
		if spare, err := strconv.Atoi(r.FormValue("spare")); err == nil {
			setSoft(&limit, openFiles()+spare)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			log.Fatal(err)
		}
	})
	mux.HandleFunc("/counts", func(w http.ResponseWriter, r *http.Request) {
		c := p.Counts()
		fmt.Fprintf(w, "%d %d", c.Open, c.Arrived)
	})
	mux.HandleFunc("/older", func(w http.ResponseWriter, r *http.Request) {
		for _, g := range p.Older() {
			fmt.Fprintf(w, "%d:%d:%d:%d ", g.Number, g.PID, g.Connections, g.Hijacked)
		}
	})
	mux.HandleFunc("/stream", gracetest.Stream)
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) { // an echo, as a WebSocket might be
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Generation: %d\r\n\r\n", p.Generation())
		rw.Flush()
		defer conn.Close()
		io.Copy(conn, rw)
	})
	mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, p.State()) })
	mux.HandleFunc("/fds", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, openFiles()) })
	mux.HandleFunc("/weight", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %d %d", openFiles(), runtime.NumGoroutine(), len(os.Environ()))
	})
	// An upgrade with a commit, as an updater asks for it: answered with its verdict.
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		path := r.FormValue("path")
		if path == "" {
			path = p.InstallPath()
		}
		witness.Store(r.FormValue("witness"))
		err := p.Handover(r.Context(), path, func() error {
			if s := r.FormValue("commit"); s != "" {
				return errors.New(s)
			}
			if s := r.FormValue("slow"); s != "" {
				os.WriteFile("committing", []byte("now"), 0o600)
				time.Sleep(parseDuration(s)) // a commit as slow as the test asks for
			}
			return os.WriteFile("committed", nil, 0o600)
		})
		var he *grace.HandoverError
		switch {
		case errors.As(err, &he):
			fmt.Fprintf(w, "%s|%v|%s", he.Cause, he.Err, he.LastWords)
		case err != nil:
			fmt.Fprintf(w, "error|%v", err)
		default:
			fmt.Fprint(w, "ok")
		}
	})
	ln, err := p.Open(grace.Socket{Name: "web", Network: "tcp", Address: cmp.Or(os.Getenv("GRACE_TEST_LISTEN"), "127.0.0.1:0")})
	if err != nil {
		log.Fatal(err)
	}
	uln, err := p.Open(grace.Socket{Name: "local", Network: "unix", Address: "web.sock", Mode: 0o600})
	if err != nil {
		log.Fatal(err)
	}
	mux.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) { // a listener that no successor asks for
		extra, err := p.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) { extra.Close() })
		go p.Serve(&http.Server{Handler: mux}, extra)
		fmt.Fprint(w, extra.Addr())
	})
	held, err := p.Open(grace.Socket{Name: "admin", Network: "unix", Address: "admin.sock", Held: true})
	if err != nil {
		log.Fatal(err)
	}
	if behaviour == "extra" {
		if _, err := p.Listen("tcp", "127.0.0.1:0"); err != nil {
			log.Fatal(err)
		}
	}
	for _, l := range []net.Listener{ln, uln, held} {
		go func() {
			if err := p.Serve(&http.Server{Handler: mux}, l); err != nil {
				log.Fatalf("serve: %v", err)
			}
		}()
	}
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	switch name, arg, _ := strings.Cut(behaviour, "="); name {
	case "panic":
		time.AfterFunc(parseDuration(arg), func() { panic("index out of luck") })
	case "sick":
		time.AfterFunc(parseDuration(arg), func() { sick.Store(true) })
	case "stop-itself":
		time.AfterFunc(parseDuration(arg), func() { syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
	}
	go func() {
		<-p.Active()
		os.WriteFile("active", []byte(strconv.Itoa(os.Getpid())), 0o600)
	}()
	if err := p.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
	log.Print("ended")
}

// echoProgram serves a protocol that is not HTTP.
func echoProgram() {
	var p *grace.Process
	p, err := grace.New(grace.Options{Probation: 300 * time.Millisecond,
		Hangup: func(ctx context.Context) error {
			err := p.Handover(ctx, p.InstallPath(), nil)
			if err != nil {
				os.WriteFile("undone", []byte(err.Error()), 0o600)
			}
			return err
		}})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					log.Fatal(err)
				}
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(context.Background())
}

// quietProgram says nothing; its successors fail with a word on standard error.
func quietProgram() {
	if role.Current() == role.Successor {
		fmt.Fprintln(os.Stderr, "cannot read the configuration")
		os.Exit(3)
	}
	echoProgram()
}

// writeLine appends to a file in the working directory.
func writeLine(name, format string, args ...any) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Print(err) // some tests leave it no descriptor
		return
	}
	defer f.Close()
	fmt.Fprintf(f, format+"\n", args...)
}

func envInt(name string, def int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return def
	}
	return n
}

func stayOf(s string) grace.StayParent {
	return map[string]grace.StayParent{"on": grace.StayParentOn, "off": grace.StayParentOff}[s]
}

// setSoft sets the soft limit, whose type is not the same everywhere.
func setSoft(limit *syscall.Rlimit, n int) {
	reflect.ValueOf(limit).Elem().FieldByName("Cur").Set(reflect.ValueOf(n).Convert(reflect.TypeOf(limit.Cur)))
}

func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

func envDuration(name string, def time.Duration) time.Duration {
	if s := os.Getenv(name); s != "" {
		return parseDuration(s)
	}
	return def
}

func parseDuration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		log.Fatal(err)
	}
	return d
}
