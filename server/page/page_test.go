package page

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func TestPage(t *testing.T) {
	b := visit(t, Options{Server: full(), Operator: full(), Place: Socket})
	res, body := b.do("GET", "/", nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%s, %v", res.Status, res.Header)
	}
	for _, want := range []string{"<h1", "1.4.1", "4312", "127.0.0.1:8080", "3 hijacked", "panic: no such table", "feed https://example.com/hello", "0123456789abcdef…",
		"drain-timeout", "1.4.0", "crashed", "asked for by ann", "to renew timestamp", `http-equiv="refresh" content="2"`, `aria-current="step"`, "v1/status"} {
		if !strings.Contains(body, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Count(body, "aria-current") != 1 {
		t.Error("several steps are lit")
	}
	if first, second := strings.Index(body, "attempt-u-3"), strings.Index(body, "attempt-u-2"); first < 0 || second < first {
		t.Error("the newest attempt is not first")
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	b := visit(t, Options{Server: full(), Operator: full(), Place: Socket})
	for _, path := range []string{"/", "/nothing", "/upgrade", "/" + style.name, "/" + script.name, "/" + icon.name} {
		res, _ := b.do("GET", path, nil)
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, res.Header)
		}
		if cache := res.Header.Get("Cache-Control"); strings.Contains(path, "-") != strings.Contains(cache, "immutable") || !strings.Contains(path, "-") && cache != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, cache)
		}
	}
}

// TestPublicWithholds: each text of a status is filled with its own name; what strangers may know is listed here.
func TestPublicWithholds(t *testing.T) {
	s := full()
	marked := 0
	var fill func(v reflect.Value, name string)
	fill = func(v reflect.Value, name string) {
		switch v.Kind() {
		case reflect.String:
			if v.CanSet() && name != ".State" {
				v.SetString("<" + name + ">")
				marked++
			}
		case reflect.Pointer:
			if v.IsNil() && v.CanSet() && v.Type().Elem().Kind() == reflect.Struct {
				v.Set(reflect.New(v.Type().Elem()))
			}
			if !v.IsNil() {
				fill(v.Elem(), name)
			}
		case reflect.Slice:
			if v.Len() == 0 && v.CanSet() {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			for i := range v.Len() {
				fill(v.Index(i), name)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fill(v.Field(i), name+"."+v.Type().Field(i).Name)
				}
			}
		}
	}
	fill(reflect.ValueOf(&s.st).Elem(), "")
	fill(reflect.ValueOf(&s.history).Elem(), ".History")
	if marked < 60 {
		t.Fatalf("only %d texts are marked", marked)
	}
	_, ops := visit(t, Options{Server: s, Place: Ops}).do("GET", "/", nil)
	_, public := visit(t, Options{Server: s}).do("GET", "/", nil)
	known := map[string]bool{}
	for _, name := range []string{".App", ".Version", ".Updater.Channel", ".Updater.Kept.Version", ".Updater.Quarantine.Version", ".Updater.Quarantine.Reason",
		".History.From", ".History.To", ".History.Outcome", ".History.Reason", ".History.Step", ".History.ID",
		".Updater.Attempt.From", ".Updater.Attempt.To"} {
		known[name] = true
	}
	for _, part := range strings.Split(public, "&lt;")[1:] {
		name, _, _ := strings.Cut(part, "&gt;")
		if !known[name] {
			t.Errorf("strangers are told %s", name)
		}
	}
	if n := strings.Count(ops, "&lt;"); n < 30 {
		t.Errorf("operators are told only %d texts", n)
	}
	for _, secret := range []string{"4312", "4101", "metrics"} {
		if strings.Contains(public, secret) || !strings.Contains(ops, secret) {
			t.Errorf("%q: said to strangers or not to operators", secret)
		}
	}
}

func TestPublicHasNoButtons(t *testing.T) {
	s := full()
	b := visit(t, Options{Server: s, Operator: s, TokenFile: tokenFile(t)})
	if _, body := b.do("GET", "/", nil); strings.Contains(body, "<form") || strings.Contains(body, "<button") {
		t.Error("it has buttons")
	}
	for _, path := range []string{"/upgrade", "/rollback", "/hold", "/unhold", "/signin"} {
		if res, _ := b.do("POST", path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("POST %s: %s", path, res.Status)
		}
	}
	b.host = "www.example.com"
	if res, _ := b.do("GET", "/", nil); res.StatusCode != 200 {
		t.Errorf("by the name of the service: %s", res.Status)
	}
}

// TestEmptyStatus: what has no updater, no history and no settings has a page too.
func TestEmptyStatus(t *testing.T) {
	s := &fakeServer{st: admin.Status{App: "hello", Version: "dev", Generation: 1, State: "serving", Updates: admin.Updates{Reason: "read-only"}}}
	for _, place := range []Place{Public, Ops, Socket} {
		res, body := visit(t, Options{Server: s, Operator: s, Place: place}).do("GET", "/", nil)
		if res.StatusCode != 200 || !strings.Contains(body, "Updating is off") || !strings.Contains(body, "No attempt") || !strings.HasSuffix(body, "</html>\n") {
			t.Errorf("place %d: %s\n%s", place, res.Status, body)
		}
	}
}

func TestHistoryIsReadWhenThereIsMore(t *testing.T) {
	s := full()
	p := &page{o: Options{Server: s}, now: time.Now}
	p.attempts(s.st)
	s.history = append(s.history, updater.Attempt{ID: "u-4"})
	if n := len(p.attempts(s.st)); n != 3 {
		t.Errorf("%d attempts, though none has ended", n)
	}
	s.st.Updater.Last = &updater.Attempt{ID: "u-4"}
	if n := len(p.attempts(s.st)); n != 4 {
		t.Errorf("%d attempts after one has ended", n)
	}
}
