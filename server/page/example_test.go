package page_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/page"
	"github.com/moult-go/moult/updater"
)

// still is a server to which nothing happens.
type still struct{}

func (still) Status() admin.Status {
	return admin.Status{App: "hello", Version: "1.4.0", Generation: 3, State: "serving", Since: time.Now()}
}
func (still) Subscribe(string) (<-chan admin.Event, func()) { return make(chan admin.Event), func() {} }
func (still) History() ([]updater.Attempt, error)           { return nil, nil }

// The page of a server, for everybody: package server mounts it so below Service.StatusPath.
func ExampleNew() {
	h := page.New(page.Options{Server: still{}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	_, rest, _ := strings.Cut(w.Body.String(), "<title>")
	title, _, _ := strings.Cut(rest, "</title>")
	fmt.Println(w.Code, title)
	// Output: 200 hello 1.4.0 · serving
}
