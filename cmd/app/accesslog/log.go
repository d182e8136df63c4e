package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Format is how a line looks.
type Format string

// The formats.
const (
	JSON     Format = "json"
	Combined Format = "combined"
	Common   Format = "common"
)

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case JSON, Combined, Common:
		return f, nil
	}
	return "", fmt.Errorf("format of the access log %q: want json, combined or common", s)
}

// Options is what a Log needs to know. The zero value will do.
type Options struct {
	Format     Format                         // default JSON
	Query      bool                           // log the query too
	Generation int                            // of the process; only in JSON
	Client     func(*http.Request) netip.Addr // who asks; default: the other side of the connection
}

// Log writes lines. Its methods may be called at the same time.
type Log struct {
	o      Options
	out    io.Writer
	closer io.Closer
	json   *slog.Logger
}

// Open appends to the file name, which it makes with mode 0640 if need be. "-" is standard output.
func Open(name string, o Options) (*Log, error) {
	if name == "-" {
		return New(os.Stdout, o), nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the access log: %w", err)
	}
	l := New(f, o)
	l.closer = f
	return l, nil
}

// New writes to w, each line at once.
func New(w io.Writer, o Options) *Log {
	if o.Format == "" {
		o.Format = JSON
	}
	if o.Client == nil {
		o.Client = peer
	}
	l := &Log{o: o, out: w}
	l.json = slog.New(slog.NewJSONHandler(w, nil)).With("generation", o.Generation)
	return l
}

func peer(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

// Close closes the file. Lines that come later are lost.
func (l *Log) Close() error {
	if l.closer == nil {
		return nil
	}
	return l.closer.Close()
}

// Handler is next, with a line for each request when it has been answered: for a connection that next takes over, when that ends.
func (l *Log) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answer{ResponseWriter: w}
		e := l.begin(r)
		w.Header()[requestID] = []string{e.id}
		defer func() { // also when next gives up by a panic
			e.status, e.bytes, e.duration = a.status, a.bytes, time.Since(e.start)
			if e.status == 0 {
				e.status = http.StatusOK
			}
			l.write(&e)
		}()
		next.ServeHTTP(&a, r)
	})
}

// entry is one line. What belongs to the request is read before next has it, which may change it.
type entry struct {
	start                       time.Time
	remote                      netip.Addr
	method, uri, proto, host    string
	id, trace, referer, browser string
	status                      int
	bytes                       int64
	duration                    time.Duration
}

func (l *Log) begin(r *http.Request) entry {
	uri := r.URL.EscapedPath() // has no control characters
	if l.o.Query && r.URL.RawQuery != "" {
		uri += "?" + r.URL.RawQuery
	}
	return entry{start: time.Now(), remote: l.o.Client(r), method: r.Method, uri: uri, proto: r.Proto, host: r.Host,
		id: identify(r), trace: traceparent(r), referer: r.Header.Get("Referer"), browser: r.Header.Get("User-Agent")}
}

func (l *Log) write(e *entry) {
	if l.o.Format == JSON {
		l.writeJSON(e)
		return
	}
	b := lines.Get().(*[]byte)
	*b = l.appendCombined((*b)[:0], e)
	l.out.Write(*b)
	lines.Put(b)
}

var lines = sync.Pool{New: func() any { return new([]byte) }}

func (l *Log) writeJSON(e *entry) {
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("remote", text(e.remote)),
		slog.String("method", printable(e.method)),
		slog.String("path", printable(e.uri)),
		slog.String("proto", printable(e.proto)),
		slog.String("host", printable(e.host)),
		slog.Int("status", e.status),
		slog.Int64("bytes", e.bytes),
		slog.Float64("duration", e.duration.Seconds()),
		slog.String("request_id", e.id))
	for _, a := range [...]slog.Attr{slog.String("traceparent", e.trace), slog.String("referer", printable(e.referer)), slog.String("user_agent", printable(e.browser))} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	l.json.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// printable takes out of s the control characters that JSON leaves as they are, DEL and those of C1: some terminals obey them.
func printable(s string) string {
	for i := range len(s) {
		if s[i] >= 0x7f {
			return strings.Map(func(c rune) rune {
				if c >= 0x7f && unicode.IsControl(c) {
					return utf8.RuneError
				}
				return c
			}, s)
		}
	}
	return s
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func (l *Log) appendCombined(b []byte, e *entry) []byte {
	if e.remote.IsValid() {
		b = e.remote.AppendTo(b)
	} else {
		b = append(b, '-')
	}
	b = append(b, " - - ["...)
	b = e.start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = appendEscaped(append(b, `] "`...), e.method)
	b = appendEscaped(append(b, ' '), e.uri)
	b = appendEscaped(append(b, ' '), e.proto)
	b = strconv.AppendInt(append(b, `" `...), int64(e.status), 10)
	b = append(b, ' ')
	if e.bytes == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, e.bytes, 10)
	}
	if l.o.Format == Combined {
		b = appendQuoted(append(b, ' '), e.referer)
		b = appendQuoted(append(b, ' '), e.browser)
	}
	return append(b, '\n')
}

func appendQuoted(b []byte, s string) []byte {
	if s == "" {
		s = "-"
	}
	return append(appendEscaped(append(b, '"'), s), '"')
}

// appendEscaped keeps what a stranger sends from looking like the end of a field or a line, or from speaking to a terminal.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
