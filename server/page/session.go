package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// minToken is the least length of a token in bytes: nobody guesses that many over a network.
	minToken = 20
	maxToken = 4 << 10
	// sessionLife is how long a browser may push buttons after its token was typed.
	sessionLife = 8 * time.Hour
)

// ErrToken says that a token file cannot be used.
var ErrToken = errors.New("token file")

// readToken reads the token, which is all of the file but white space around it. It is read each time that somebody signs in, or pushes a button:
// a new token ends all sessions at once, in all generations.
func readToken(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	defer f.Close()
	b := make([]byte, maxToken+1)
	n, _ := f.Read(b)
	token := strings.TrimSpace(string(b[:n]))
	if len(token) < minToken || n > maxToken {
		return nil, fmt.Errorf("%w: %s: want a token of %d to %d bytes, as of: openssl rand -hex 32", ErrToken, file, minToken, maxToken)
	}
	return []byte(token), nil
}

// CheckToken says what is wrong with a token file.
func CheckToken(file string) error {
	_, err := readToken(file)
	return err
}

// sessions are kept by the browsers: a cookie says until when, and a MAC under the token proves that this server, or another generation of
// it, wrote so. Who reads the cookie does not learn the token.
type sessions struct {
	file string
	now  func() time.Time
}

// cookie is the name of the cookie. Browsers tell servers apart by their host, not by their port: the token does it for those of one host.
func (s sessions) cookie(token []byte) string { return "moult_session_" + s.mac(token, "name")[:8] }

func (s sessions) mac(token []byte, until string) string {
	m := hmac.New(sha256.New, token)
	m.Write([]byte("moult status page session\n" + until))
	return hex.EncodeToString(m.Sum(nil))
}

// open compares the token that was typed with the file's, in constant time, and begins a session if they are the same.
func (s sessions) open(w http.ResponseWriter, r *http.Request, typed string) (bool, error) {
	token, err := readToken(s.file)
	if err != nil {
		return false, err
	}
	// digests, so that not even the length can be measured
	want, got := sha256.Sum256(token), sha256.Sum256([]byte(strings.TrimSpace(typed)))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return false, nil
	}
	until := strconv.FormatInt(s.now().Add(sessionLife).Unix(), 10)
	s.set(w, r, token, until+"."+s.mac(token, until), int(sessionLife/time.Second))
	return true, nil
}

func (s sessions) close(w http.ResponseWriter, r *http.Request) {
	if token, err := readToken(s.file); err == nil {
		s.set(w, r, token, "", -1)
	}
}

// set leaves the path of the cookie to the browser: the directory of what was posted, which is the page's.
func (s sessions) set(w http.ResponseWriter, r *http.Request, token []byte, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: s.cookie(token), Value: value, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
}

// valid reports whether the request comes from a browser that has signed in.
func (s sessions) valid(r *http.Request) bool {
	token, err := readToken(s.file)
	if err != nil {
		return false
	}
	c, err := r.Cookie(s.cookie(token))
	if err != nil {
		return false
	}
	until, mac, _ := strings.Cut(c.Value, ".")
	if !hmac.Equal([]byte(mac), []byte(s.mac(token, until))) {
		return false
	}
	end, err := strconv.ParseInt(until, 10, 64)
	return err == nil && s.now().Before(time.Unix(end, 0))
}
