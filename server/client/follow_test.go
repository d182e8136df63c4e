package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// successor answers in place of a process that was killed after it had told of attempt u-1, first on probation, then with history.
func successor(under int32, history string) http.HandlerFunc {
	var asked atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/upgrade":
			fmt.Fprint(w, `{"event":{"phase":"fetch"}}`+"\n"+`{"event":{"phase":"hand over","attempt":"u-1","version":"1.1.0"}}`+"\n")
		case "/v1/status":
			st := admin.Status{App: "hello", Version: "1.1.0", State: "serving", Updater: &updater.Status{Phase: "idle"}}
			if asked.Add(1) <= under {
				st.State, st.Updater = "probation", &updater.Status{Phase: "probation", Attempt: &updater.Attempt{ID: "u-1"}}
			}
			json.NewEncoder(w).Encode(st)
		case "/v1/history":
			fmt.Fprintf(w, `{"schema":1,"attempts":[{"id":"u-0","outcome":"committed"}%s]}`, history)
		}
	}
}

// The process that was asked is gone, and somebody else knows how it ended.
func TestVerdictOfASuccessor(t *testing.T) {
	for _, tt := range []struct {
		name, history string
		class         updater.Class
		reason        string
	}{
		{"committed", `,{"id":"u-1","kind":"upgrade","from":"1.0.0","to":"1.1.0","outcome":"committed"}`, "", ""},
		{"undone", `,{"id":"u-1","outcome":"rolled-back","class":"undone","reason":"crashed","last_words":"panic"}`, updater.Undone, "crashed"},
		{"interrupted", `,{"id":"u-1","outcome":"interrupted"}`, updater.Failed, ""},
		{"never began", "", updater.Failed, "interrupted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := socket(t)
			serve(t, path, successor(2, tt.history))
			var phases []string
			out, err := client.New(path).Upgrade(t.Context(), admin.Request{}, func(e updater.Event) { phases = append(phases, string(e.Phase)) })
			if want := []string{"fetch", "hand over", "hand over", "probation"}; !slices.Equal(phases, want) {
				t.Errorf("told of %q, want %q", phases, want)
			}
			var f *admin.Failure
			switch {
			case tt.class == "" && (err != nil || out != updater.Outcome{Attempt: "u-1", Changed: true, From: "1.0.0", To: "1.1.0", Restarted: true}):
				t.Errorf("%+v, %v", out, err)
			case tt.class != "" && (!errors.As(err, &f) || f.Class != tt.class || f.Reason != tt.reason || f.Serving != "1.1.0" || f.Hint == ""):
				t.Errorf("%v, %+v", err, f)
			}
		})
	}
}

// Nobody is there any more who could know: the error has the ID, for whoever looks at the disk.
func TestNobodyKnows(t *testing.T) {
	path := socket(t)
	serve(t, path, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/upgrade" {
			successor(0, "")(w, r)
			return
		}
		http.Error(w, "no", http.StatusInternalServerError)
	})
	_, err := client.New(path).Upgrade(t.Context(), admin.Request{}, nil)
	var cut *client.CutError
	if !errors.As(err, &cut) || cut.Attempt != "u-1" {
		t.Errorf("%v, %+v", err, cut)
	}
}

// A restart has no ID: its verdict is who serves.
func TestRestartOfADeadServer(t *testing.T) {
	before := admin.Status{Instance: "a", Version: "1.0.0", State: "serving", Generation: 3, PID: 7}
	for _, tt := range []struct {
		name  string
		after admin.Status
		to    string // "" if it failed
		cut   bool
	}{
		{"its successor serves", admin.Status{Instance: "a", Version: "1.1.0", State: "serving", Generation: 4, PID: 8}, "1.1.0", false},
		{"it lives, and the connection broke", before, "", true},
		{"another server was started", admin.Status{Instance: "b", Version: "1.0.0", State: "serving", Generation: 1, PID: 9}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := socket(t)
			answers := []admin.Status{before, {Instance: "a", State: "probation", Generation: 4}, tt.after}
			serve(t, path, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/restart" {
					fmt.Fprintln(w, `{"event":{"phase":"prove"}}`)
					return
				}
				json.NewEncoder(w).Encode(answers[0])
				answers = answers[1:]
			})
			out, err := client.New(path).Restart(t.Context(), nil)
			if (err == nil) != (tt.to != "") || out.To != tt.to || out.Restarted != (tt.to != "") {
				t.Errorf("%+v, %v", out, err)
			}
			if errors.As(err, new(*client.CutError)) != tt.cut {
				t.Errorf("%v, want a CutError: %v", err, tt.cut)
			}
		})
	}
}

// The socket of a server that was started anew is another one.
func TestLocate(t *testing.T) {
	old, path := socket(t), socket(t)
	serve(t, path, lines(`{"schema":1,"app":"hello"}`))
	c := client.New(old)
	c.Locate = func() (string, error) { return path, nil }
	if st, err := c.Status(t.Context()); err != nil || st.App != "hello" {
		t.Errorf("%+v, %v", st, err)
	}
}

// A process lets go in the middle of it, and the next one is asked for what came after the last event.
func TestEventsOverAHandover(t *testing.T) {
	path := socket(t)
	var asked []string
	serve(t, path, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		event := func(id string) string { return fmt.Sprintf("id: %s\nevent: state\ndata: {\"id\":%q}\n\n", id, id) }
		fmt.Fprint(w, "retry: 500\n\nevent: status\ndata: {\"schema\":1}\n\n: ping\n\n")
		if len(asked) == 1 {
			fmt.Fprint(w, event("1.7"), event("1.8"), "event: bye\ndata: {}\n\n")
		} else {
			fmt.Fprint(w, event("2.1"), event("2.2"))
		}
	})
	var got []string
	for e, err := range client.New(path).Events(t.Context(), "1.6") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.ID); len(got) == 3 {
			break
		}
	}
	if strings.Join(got, " ") != "1.7 1.8 2.1" || strings.Join(asked, " ") != "1.6 1.8" {
		t.Errorf("events %q, asked for what came after %q", got, asked)
	}
}

func TestEventsRefused(t *testing.T) {
	path := socket(t)
	serve(t, path, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"class":"permission","message":"not you"}}`)
	})
	for _, err := range client.New(path).Events(t.Context(), "") {
		var f *admin.Failure
		if !errors.As(err, &f) || f.Class != updater.Permission {
			t.Errorf("%v", err)
		}
	}
}
