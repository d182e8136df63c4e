// Command older is a server from before the first release: it speaks version 0 of the handover protocol and no other. There never
// was such a version; what matters is that none is spoken on both sides. It imports nothing of this module.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	marker := strings.SplitN(os.Getenv("MOULT_ROLE"), ":", 3)
	os.Unsetenv("MOULT_ROLE")
	if len(marker) == 3 && marker[0] == "successor" && marker[2] == identity(3) {
		refuse()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "older ospid:%d", os.Getpid())
	})
	http.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, handOver(r.FormValue("path"), ln.(*net.TCPListener)))
	})
	if err := os.WriteFile("addr", []byte(ln.Addr().String()), 0o600); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, nil))
}

// refuse is the life of a successor: no predecessor of today offers version 0.
func refuse() {
	link := os.NewFile(3, "link")
	kind, offer, err := receive(link)
	if err != nil || kind != "OFFER" {
		log.Fatalf("no offer: %v", err)
	}
	if oldest, _ := strconv.Atoi(offer.Get("oldest")); oldest == 0 {
		log.Fatal("somebody speaks version 0")
	}
	send(link, "FAIL", url.Values{"cause": {"incompatible"}, "reason": {"older speaks protocol 0"}})
	os.Exit(1)
}

// handOver offers the socket and returns why that came to nothing. This process goes on accepting.
func handOver(path string, ln *net.TCPListener) string {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "exec|" + err.Error()
	}
	link := os.NewFile(uintptr(pair[0]), "link")
	defer link.Close()
	raw, err := ln.SyscallConn()
	if err != nil {
		return "exec|" + err.Error()
	}
	var dup uintptr
	raw.Control(func(fd uintptr) { dup, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0) })
	send(link, "OFFER", url.Values{"oldest": {"0"}, "newest": {"0"}, "generation": {"2"}, "install": {path}, "probation": {"600"},
		"socket": {url.Values{"name": {"web"}, "network": {"tcp"}, "address": {"127.0.0.1:0"}}.Encode()}})
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2, uintptr(pair[1]), 2, dup},
		Env: append(os.Environ(), "MOULT_ROLE=successor:3:"+identity(pair[1]))})
	syscall.Close(pair[1])
	syscall.Close(int(dup))
	if err != nil {
		return "exec|" + err.Error()
	}
	kind, answer, err := receive(link)
	var status syscall.WaitStatus
	syscall.Wait4(pid, &status, 0, nil)
	return fmt.Sprintf("%s|%s|%s|status %d, err %v", answer.Get("cause"), kind, answer.Get("reason"), status.ExitStatus(), err)
}

func send(w io.Writer, kind string, fields url.Values) {
	body := kind + "?" + fields.Encode()
	w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
}

func receive(r io.Reader) (kind string, fields url.Values, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		return "", nil, err
	}
	kind, query, _ := strings.Cut(string(body), "?")
	fields, err = url.ParseQuery(query)
	return kind, fields, err
}

func identity(fd int) string {
	var st syscall.Stat_t
	syscall.Fstat(fd, &st)
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
