// Command newer is a server of a future release: it speaks versions 1 to 9 of the handover protocol, 9 by preference, and does
// everything that the rules of evolution in docs/reference/protocol.md allow it towards a version 1: kinds, fields, networks and descriptors
// that nobody knows yet, bodies that are no query, and nothing that is optional. It imports nothing of this module.
//
// With NEWER_OLDEST=2 in its environment it does not speak version 1 any more.
package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type message struct {
	kind   string
	fields url.Values
}

// A link is one end of the socketpair.
type link struct {
	conn net.Conn
	in   chan message // closed when the other side is gone
	mu   sync.Mutex
}

func newLink(fd int) *link {
	f := os.NewFile(uintptr(fd), "link")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		log.Fatal(err)
	}
	return &link{conn: conn, in: make(chan message, 16)}
}

// send puts what a version 1 does not know into the message and around it.
func (l *link) send(kind string, fields url.Values) {
	known := url.Values{"mood": {"fine", "better"}}
	maps.Copy(known, fields)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(kind+"?"+known.Encode(), lamp())
	l.write("WEATHER?wind=9", lamp(), lamp())
	l.write("PICTURE?\x00\xff%zz;&=", -1)
	l.write("BARE", -1)
}

func (l *link) write(body string, descriptors ...int) {
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	if descriptors[0] < 0 {
		l.conn.Write(frame)
		return
	}
	l.conn.(*net.UnixConn).WriteMsgUnix(frame, syscall.UnixRights(descriptors...), nil)
	for _, fd := range descriptors {
		syscall.Close(fd)
	}
}

// lamp returns a descriptor that nobody asked for. It notes in the file "lamps" when one is made, and when its last copy is closed.
func lamp() int {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	note("lit")
	go func() {
		os.NewFile(uintptr(ends[0]), "lamp").Read(make([]byte, 1))
		note("out")
	}()
	return ends[1]
}

func note(word string) {
	f, err := os.OpenFile("lamps", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, word, os.Getpid())
}

func (l *link) receive() (m message, err error) {
	var head [4]byte
	if _, err := io.ReadFull(l.conn, head[:]); err != nil {
		return m, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(l.conn, body); err != nil {
		return m, err
	}
	kind, query, _ := strings.Cut(string(body), "?")
	m.kind = kind
	m.fields, _ = url.ParseQuery(query)
	return m, nil
}

// read answers HEALTH, drops what is not mandatory, and passes on the rest.
func (l *link) read() {
	defer close(l.in)
	for {
		m, err := l.receive()
		if err != nil {
			return
		}
		switch m.kind {
		case "HEALTH":
			l.send("HEALTHY", nil)
		case "READY", "FAIL", "STOPPING", "COMMIT", "ACK", "STOP":
			l.in <- m
		}
	}
}

// A gate is a listener that can be parked without being closed.
type gate struct {
	net.Listener
	key    url.Values
	place  int // in the predecessor's offer; -1 if bound here
	mu     sync.Mutex
	open   chan struct{} // closed while accepting
	parked bool
}

type deadliner interface{ SetDeadline(time.Time) error }

func (g *gate) park() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parked, g.open = true, make(chan struct{})
	g.Listener.(deadliner).SetDeadline(time.Unix(1, 0))
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parked {
		g.parked = false
		g.Listener.(deadliner).SetDeadline(time.Time{})
		close(g.open)
	}
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		<-open
		conn, err := g.Listener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err == nil {
			connections.Add(1)
		}
		return conn, err
	}
}

var (
	connections atomic.Int64
	polite      atomic.Bool

	oldest     = cmp.Or(os.Getenv("NEWER_OLDEST"), "1")
	generation = 1
	install    string
	gates      []*gate
	strangers  []int // offered sockets that this program does not listen on, until COMMIT
	up         *link // to the predecessor, while it lives
	upgrades   = make(chan upgrade)
	term       = make(chan os.Signal, 1)
)

type upgrade struct {
	path string
	done chan string
}

func main() {
	signal.Notify(term, syscall.SIGTERM)
	offer, count := inherit()
	listen(offer, count)
	for _, g := range gates {
		srv := &http.Server{Handler: http.HandlerFunc(serve), ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				connections.Add(-1)
			}
		}}
		go srv.Serve(g)
		g.resume()
	}
	if up != nil {
		ready := url.Values{}
		for _, g := range gates {
			if g.place >= 0 {
				ready.Add("socket", strconv.Itoa(g.place))
			}
		}
		up.send("READY", ready)
		go up.read()
	}
	if err := os.WriteFile("addr", []byte(gates[0].Addr().String()), 0o600); err != nil {
		log.Fatal(err)
	}
	if up != nil {
		probation()
	}
	for {
		select {
		case u := <-upgrades:
			verdict := handOver(u.path)
			u.done <- verdict
			if verdict == "ok" {
				drain()
			}
		case m, ok := <-mail():
			if !ok {
				up = nil
			} else if m.kind == "STOP" {
				drain()
			}
		case <-term:
			tell("AWAY")
			drain()
		}
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/upgrade" {
		u := upgrade{r.FormValue("path"), make(chan string)}
		upgrades <- u
		fmt.Fprint(w, <-u.done)
		return
	}
	if s, err := strconv.ParseFloat(r.FormValue("sleep"), 64); err == nil {
		time.Sleep(time.Duration(s * float64(time.Second)))
	}
	io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Generation", strconv.Itoa(generation))
	if polite.Load() {
		w.Header().Set("Connection", "close")
	}
	fmt.Fprintf(w, "newer ospid:%d", os.Getpid())
}

// inherit reads the marker and the offer. Without a marker that fits descriptor 3 this is generation 1.
func inherit() (offer url.Values, count int) {
	marker := strings.SplitN(os.Getenv("MOULT_ROLE"), ":", 3)
	os.Unsetenv("MOULT_ROLE")
	if len(marker) < 3 || marker[0] != "successor" || marker[2] != identity(3) {
		install, _ = os.Executable()
		return nil, 0
	}
	count, _ = strconv.Atoi(marker[1])
	for fd := 3; fd < 3+count; fd++ {
		syscall.CloseOnExec(fd)
	}
	up = newLink(3)
	m, err := up.receive()
	if err != nil || m.kind != "OFFER" {
		log.Fatalf("no offer: %v", err)
	}
	theirs, _ := strconv.Atoi(m.fields.Get("newest"))
	ours, _ := strconv.Atoi(oldest)
	if theirs < ours {
		up.send("FAIL", url.Values{"cause": {"incompatible"}, "reason": {"newer speaks protocol " + oldest + " to 9"}})
		os.Exit(1)
	}
	syscall.Dup3(4, 2, 0)
	syscall.Close(4)
	up.send("HELLO", url.Values{"protocol": {strconv.Itoa(min(theirs, 9))}})
	generation, _ = strconv.Atoi(m.fields.Get("generation"))
	install = m.fields.Get("install")
	return m.fields, count
}

func identity(fd int) string {
	var st syscall.Stat_t
	syscall.Fstat(fd, &st)
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// listen claims the sockets of this program, or binds them, and closes the descriptors that are no sockets.
func listen(offer url.Values, count int) {
	offered := offer["socket"]
	for _, key := range []url.Values{
		{"name": {"web"}, "network": {"tcp"}, "address": {"127.0.0.1:0"}},
		{"name": {"local"}, "network": {"unix"}, "address": {"web.sock"}},
	} {
		g := &gate{key: key, place: -1, open: make(chan struct{}), parked: true}
		for i, o := range offered {
			s, _ := url.ParseQuery(o)
			if s.Get("name") == key.Get("name") && s.Get("network") == key.Get("network") && s.Get("address") == key.Get("address") {
				g.place = i
			}
		}
		var err error
		if g.place >= 0 {
			f := os.NewFile(uintptr(5+g.place), "socket")
			g.Listener, err = net.FileListener(f)
			f.Close()
		} else {
			g.Listener, err = net.Listen(key.Get("network"), key.Get("address"))
			if u, ok := g.Listener.(*net.UnixListener); ok {
				u.SetUnlinkOnClose(false)
			}
		}
		if err != nil {
			log.Fatal(err)
		}
		gates = append(gates, g)
	}
	for i := range offered {
		if gates[0].place != i && gates[1].place != i {
			strangers = append(strangers, 5+i)
		}
	}
	for fd := 5 + len(offered); fd < 3+count; fd++ {
		syscall.Close(fd)
	}
}

func probation() {
	for {
		select {
		case m, ok := <-up.in:
			switch {
			case !ok: // the predecessor died: nobody else serves
				up = nil
			case m.kind == "STOP":
				up.send("STOPPING", nil)
				drain()
			case m.kind == "COMMIT":
				up.send("ACK", nil)
			default:
				continue
			}
		case <-term:
			up.send("STOPPING", nil)
			drain()
		}
		for _, fd := range strangers {
			syscall.Close(fd)
		}
		strangers = nil
		return
	}
}

func mail() <-chan message {
	if up == nil {
		return nil
	}
	return up.in
}

func tell(kind string) {
	if up != nil {
		up.send(kind, nil)
	}
}

// handOver returns "ok", or a cause and a reason; then this process serves on.
func handOver(path string) string {
	length, err := time.ParseDuration(os.Getenv("GRACE_TEST_PROBATION"))
	if err != nil {
		length = 600 * time.Millisecond
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "exec|" + err.Error()
	}
	offer := url.Values{"oldest": {oldest}, "newest": {"9"}, "generation": {strconv.Itoa(generation + 1)}, "install": {install},
		"probation": {strconv.FormatInt(length.Milliseconds(), 10)}}
	files := []uintptr{0, 1, 2, uintptr(pair[1]), 2}
	for _, g := range gates {
		offer.Add("socket", g.key.Encode())
		files = append(files, duplicate(g.Listener.(syscall.Conn)))
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "exec|" + err.Error()
	}
	defer packets.Close()
	offer.Add("socket", url.Values{"name": {"quic"}, "network": {"udp"}, "address": {"127.0.0.1:0"}}.Encode())
	offer.Set("lamp", "1")
	files = append(files, duplicate(packets.(syscall.Conn)), uintptr(lamp()))
	down := newLink(pair[0])
	down.send("OFFER", offer)
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Files: files,
		Env: append(os.Environ(), fmt.Sprintf("MOULT_ROLE=successor:%d:%s", len(files)-3, identity(pair[1])))})
	syscall.Close(pair[1])
	for _, fd := range files[5:] {
		syscall.Close(int(fd))
	}
	if err != nil {
		return "exec|" + err.Error()
	}
	go syscall.Wait4(pid, nil, 0, nil)
	go down.read()
	undo := func(verdict string) string {
		syscall.Kill(pid, syscall.SIGKILL)
		for _, g := range gates {
			g.resume()
		}
		tell("BACK")
		return verdict
	}

	patience := time.After(20 * time.Second)
	for ready := false; !ready; {
		select {
		case m, ok := <-down.in:
			switch {
			case !ok:
				return undo("exited|before it was ready")
			case m.kind == "FAIL":
				return undo(m.fields.Get("cause") + "|" + m.fields.Get("reason"))
			case m.kind == "STOPPING":
				return undo("stopped|")
			}
			ready = m.kind == "READY"
		case <-patience:
			return undo("start-timeout|")
		}
	}
	for _, g := range gates {
		g.park()
	}
	tell("AWAY")
	for over := time.After(length); over != nil; {
		select {
		case m, ok := <-down.in:
			if !ok || m.kind == "STOPPING" {
				return undo("crashed|on probation")
			}
		case <-over:
			over = nil
		}
	}
	down.send("COMMIT", nil)
	for m := range down.in {
		if m.kind == "ACK" {
			return "ok"
		}
	}
	return undo("crashed|at the commit")
}

func duplicate(c syscall.Conn) (dup uintptr) {
	raw, err := c.SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		dup, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	})
	return dup
}

// drain answers what was accepted and ends the process.
func drain() {
	for _, g := range gates {
		g.park()
	}
	polite.Store(true)
	for end := time.Now().Add(10 * time.Second); connections.Load() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	os.Exit(0)
}
