package page

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/updater"
)

const secret = "0123456789abcdef0123456789"

func tokenFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var confirmed = url.Values{"confirm": {"yes"}}

func with(name, value string) url.Values { return url.Values{"confirm": {"yes"}, name: {value}} }

func (b *browser) want(code int, text, method, path string, form url.Values) string {
	b.t.Helper()
	res, body := b.do(method, path, form)
	if res.StatusCode != code || !strings.Contains(body, text) {
		b.t.Errorf("%s %s: %s, want %d and %q\n%.2000s", method, path, res.Status, code, text, body)
	}
	return body
}

func TestButtons(t *testing.T) {
	s := full()
	b := visit(t, Options{Server: s, Operator: s, Place: Socket})
	for _, path := range []string{"/upgrade", "/rollback", "/hold", "/unhold"} {
		b.want(http.StatusMethodNotAllowed, "", "GET", path, nil)
		b.want(http.StatusMethodNotAllowed, "", "GET", path+"?confirm=yes", nil)
		b.want(http.StatusOK, `name="confirm" value="yes"`, "POST", path, nil)
		b.want(http.StatusOK, `name="confirm" value="yes"`, "POST", path+"?confirm=yes", nil) // an address confirms nothing
	}
	if s.said() != "check, check" {
		t.Fatalf("without a confirmation: %s", s.said())
	}
	b.want(http.StatusConflict, "not kept here", "POST", "/rollback", with("version", "9.9.9"))
	b.want(http.StatusBadRequest, "", "POST", "/hold", with("hours", "1"))
	b.want(http.StatusBadRequest, "", "POST", "/hold", with("reason", strings.Repeat("x", maxForm)))
	b.want(http.StatusSeeOther, "", "POST", "/rollback", with("version", "1.3.2"))
	b.want(http.StatusSeeOther, "", "POST", "/upgrade", with("version", "1.5.0"))
	b.want(http.StatusSeeOther, "", "POST", "/hold", with("reason", "fair \x1b[31mtomorrow"))
	b.want(http.StatusSeeOther, "", "POST", "/unhold", confirmed)
	if want := "check, check, rollback 1.3.2, upgrade 1.5.0, hold fair [31mtomorrow by status page, 127.0.0.1, unhold"; s.said() != want {
		t.Errorf("asked for %s\nwant %s", s.said(), want)
	}
	if s.by == nil || s.by.UID != nobody || s.by.User != "status page, 127.0.0.1" {
		t.Errorf("asked by %+v", s.by)
	}
	b.want(http.StatusOK, "Updates go on", "GET", "/", nil)
}

// TestFailureIsShown: what was asked for and failed stays on the page, with what to do next.
func TestFailureIsShown(t *testing.T) {
	s := full()
	s.err = &updater.Error{Class: updater.Policy, Reason: "held", Err: errors.New("updates are held <b>\x1b")}
	b := visit(t, Options{Server: s, Operator: s, Place: Socket})
	b.want(http.StatusOK, "updates are held &lt;b&gt;", "POST", "/upgrade", nil)
	b.want(http.StatusSeeOther, "", "POST", "/upgrade", confirmed)
	body := b.want(http.StatusOK, "updates are held &lt;b&gt;", "GET", "/", nil)
	if !strings.Contains(body, "hello unhold") || strings.Contains(body, "\x1b") {
		t.Error("no hint, or an escape")
	}
}

func TestButtonsWantTheToken(t *testing.T) {
	s := full()
	o := Options{Server: s, Operator: s, Place: Ops, TokenFile: tokenFile(t)}
	b := visit(t, o)
	if body := b.want(200, "Sign in to operate", "GET", "/", nil); strings.Contains(body, `action="upgrade"`) {
		t.Error("buttons before a token was typed")
	}
	for _, path := range []string{"/upgrade", "/rollback", "/hold", "/unhold"} {
		b.want(http.StatusForbidden, `name="token"`, "POST", path, confirmed)
		b.want(http.StatusForbidden, `name="token"`, "POST", path+"?token="+secret, confirmed)
	}
	b.want(200, `type="password"`, "POST", "/signin", nil)
	b.want(http.StatusForbidden, "not the token", "POST", "/signin", url.Values{"token": {"wrong"}})
	b.want(200, `type="password"`, "POST", "/signin?token="+secret, nil)
	if b.sent.Get("Cookie") != "" {
		t.Fatal("a cookie without a token")
	}
	res, _ := b.do("POST", "/signin", url.Values{"token": {" " + secret}})
	c := res.Cookies()
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "./" || len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("%s, %+v", res.Status, c)
	}
	if strings.Contains(c[0].Value, secret) || s.said() != "" {
		t.Errorf("cookie %s; asked for %s", c[0].Value, s.said())
	}
	b.want(200, `action="upgrade"`, "GET", "/", nil)
	b.want(http.StatusSeeOther, "", "POST", "/unhold", confirmed)

	// Another generation of the same server takes the cookie; one with another token does not.
	next := visit(t, o)
	next.sent = b.sent.Clone()
	next.want(200, `action="upgrade"`, "GET", "/", nil)
	if err := os.WriteFile(o.TokenFile, []byte(strings.ToUpper(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	next.want(http.StatusForbidden, "", "POST", "/unhold", confirmed)
	if s.said() != "unhold" {
		t.Errorf("asked for %s", s.said())
	}
}

func TestSessionsEnd(t *testing.T) {
	now := time.Now()
	s := sessions{tokenFile(t), func() time.Time { return now }}
	token, err := readToken(s.file)
	if err != nil {
		t.Fatal(err)
	}
	b := visit(t, Options{Server: full(), Operator: full(), Place: Ops, TokenFile: s.file})
	b.do("POST", "/signin", url.Values{"token": {secret}})
	r := func(cookie string) *http.Request { return &http.Request{Header: http.Header{"Cookie": {cookie}}} }
	good := b.sent.Get("Cookie")
	if !s.valid(r(good)) {
		t.Fatalf("refused %s", good)
	}
	name, value, _ := strings.Cut(good, "=")
	until, mac, _ := strings.Cut(value, ".")
	for _, bad := range []string{"", name + "=", name + "=" + until + ".", name + "=9" + until + "." + mac, name + "=" + until + "." + mac[1:],
		name + "=x." + s.mac(token, "x"), "other=" + value} {
		if s.valid(r(bad)) {
			t.Errorf("accepted %s", bad)
		}
	}
	now = now.Add(sessionLife + time.Second)
	if s.valid(r(good)) {
		t.Error("accepted after its end")
	}
	b.do("POST", "/signout", nil)
	if b.sent.Get("Cookie") != name+"=" {
		t.Errorf("after signing out: %s", b.sent.Get("Cookie"))
	}
}

func TestTokenFiles(t *testing.T) {
	for content, good := range map[string]bool{secret: true, "\n" + secret + "\n": true, "": false, "short": false, strings.Repeat("x", maxToken+1): false} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckToken(file); (err == nil) != good || err != nil && !errors.Is(err, ErrToken) || err != nil && content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%.30q: %v", content, err)
		}
	}
	if err := CheckToken(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrToken) {
		t.Errorf("no file: %v", err)
	}
}
