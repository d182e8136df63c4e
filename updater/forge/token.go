package forge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/moult-go/moult/updater"
)

// maxToken bounds a token in bytes.
const maxToken = 4096

// check refuses to send a token in the clear, but to this machine.
func (o Options) check(d dialect) error {
	if o.TokenFile != "" && o.TokenEnv != "" {
		return errors.New("a token comes from a file or from a variable, not from both")
	}
	if at := d.origin(); (o.TokenFile != "" || o.TokenEnv != "") && at.Scheme != "https" {
		if ip := net.ParseIP(at.Hostname()); at.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("a token for %s would travel in the clear: use https", at.Host)
		}
	}
	return nil
}

// token reads the token, which may be exchanged at any time; "" if none is configured. No error repeats any of it.
func (o Options) token() (string, error) {
	var s, from string
	switch {
	case o.TokenFile != "":
		b, err := readToken(o.TokenFile)
		if err != nil {
			return "", &updater.Error{Class: updater.Permission, Reason: "token", Err: fmt.Errorf("read the token: %w", err)}
		}
		s, from = string(b), o.TokenFile
	case o.TokenEnv != "":
		s, from = os.Getenv(o.TokenEnv), "the environment variable "+o.TokenEnv
	default:
		return "", nil
	}
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxToken || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &updater.Error{Class: updater.Permission, Reason: "token", Err: fmt.Errorf("there is no token in %s: one word is expected", from)}
	}
	return s, nil
}

func readToken(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxToken+2))
}

func (o Options) anonymous() bool { return o.TokenFile == "" && o.TokenEnv == "" }

// authorize completes a request to the API. A token that cannot be read is reported by Check, before any request.
func (s *Source) authorize(r *http.Request) {
	token, _ := s.o.token()
	s.forge.authorize(r, token)
}
