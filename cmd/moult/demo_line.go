package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// line is a running server of the demonstration and all its generations: one process group, one log.
type line struct {
	exe  string
	addr string
	pid  int // of generation 1

	cmd     *exec.Cmd
	done    chan struct{} // closed when generation 1 has ended
	log     *os.File
	tail    *bufio.Reader
	current atomic.Int64 // pid that serves
}

// startLine installs exe in a directory of its own, starts "serve" there and waits until it serves.
func startLine(ctx context.Context, dir, exe string, args ...string) (*line, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	l := &line{exe: filepath.Join(dir, "app"), done: make(chan struct{})}
	if err := copyExecutable(exe, l.exe); err != nil {
		return nil, err
	}
	var err error
	if l.addr, err = freeAddress(); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer out.Close()
	if l.log, err = os.Open(out.Name()); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	l.tail = bufio.NewReader(l.log)
	l.cmd = exec.Command(l.exe, append([]string{"serve", "--listen", l.addr, "--log-format", "text"}, args...)...)
	l.cmd.Stdout, l.cmd.Stderr = out, out
	ownGroup(l.cmd)
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("demo: start %s: %w", l.exe, err)
	}
	l.pid = l.cmd.Process.Pid
	l.current.Store(int64(l.pid))
	go func() {
		l.cmd.Wait()
		close(l.done)
	}()
	if err := l.waitReady(ctx); err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

func (l *line) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.addr+"/readyz", nil)
		if err != nil {
			return err
		}
		req.Close = true
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("demo: %s does not serve on %s: %w\n%s", l.exe, l.addr, ctx.Err(), l.lastLines())
		case <-l.done:
			return fmt.Errorf("demo: %s ended: %s\n%s", l.exe, l.cmd.ProcessState, l.lastLines())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serving is the pid that serves, as far as the log was read.
func (l *line) serving() int { return int(l.current.Load()) }

// logLine is one line of the server's log.
type logLine struct {
	time  time.Time
	msg   string
	attrs map[string]string
}

// await reads the log on until a line with this message.
func (l *line) await(ctx context.Context, msg string) (logLine, error) {
	found, err := l.awaitAll(ctx, msg)
	return found[msg], err
}

// awaitAll does so for several messages, in any order: two processes write into the log.
func (l *line) awaitAll(ctx context.Context, msgs ...string) (map[string]logLine, error) {
	found := map[string]logLine{}
	for len(found) < len(msgs) {
		e, err := l.next(ctx)
		if err != nil {
			return found, fmt.Errorf("%w (waiting for %q)", err, msgs)
		}
		if slices.Contains(msgs, e.msg) {
			found[e.msg] = e
		}
	}
	return found, nil
}

// next returns the next line of the log, when it is there.
func (l *line) next(ctx context.Context) (logLine, error) {
	deadline := time.Now().Add(demoTimeout)
	partial := ""
	for {
		text, err := l.tail.ReadString('\n')
		partial += text
		if err == nil {
			e := parseLogLine(partial)
			l.follow(e)
			return e, nil
		}
		if !errors.Is(err, io.EOF) {
			return logLine{}, fmt.Errorf("demo: read the server's log: %w", err)
		}
		if time.Now().After(deadline) {
			return logLine{}, fmt.Errorf("demo: the server's log is silent for %s", demoTimeout)
		}
		select {
		case <-ctx.Done():
			return logLine{}, ctx.Err()
		case <-time.After(5 * time.Millisecond): // between two looks at the file
		}
	}
}

// follow keeps track of who serves.
func (l *line) follow(e logLine) {
	if e.msg == "handed over" {
		if pid, err := strconv.Atoi(e.attrs["pid"]); err == nil {
			l.current.Store(int64(pid))
		}
	}
}

// installed runs the executable on disk and returns the version that it reports.
func (l *line) installed(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, l.exe, "version", "--json").Output()
	if err != nil {
		return "", fmt.Errorf("run %s version: %w", l.exe, err)
	}
	var v struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return "", fmt.Errorf("read the answer of %s version: %w", l.exe, err)
	}
	return v.Version, nil
}

// lastLines is the end of the log, for errors.
func (l *line) lastLines() string {
	b, _ := os.ReadFile(l.log.Name())
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// stop ends every generation: politely first.
func (l *line) stop() {
	if l == nil {
		return
	}
	endGroup(l.pid, l.done)
	l.log.Close()
}

// parseLogLine reads a line as slog's text handler writes it.
func parseLogLine(s string) logLine {
	e := logLine{attrs: map[string]string{}}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		value := rest
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			s = rest[len(quoted):]
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		switch key {
		case "time":
			e.time, _ = time.Parse(time.RFC3339Nano, value)
		case "msg":
			e.msg = value
		default:
			e.attrs[key] = value
		}
	}
	return e
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("demo: find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func copyExecutable(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}
