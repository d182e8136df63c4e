package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/moult-go/moult/cmd/app/proxy"
)

func Example() {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "you asked for ", r.URL.Path) }))
	defer upstream.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	route, err := proxy.ParseRoute("/api=" + upstream.URL)
	if err != nil {
		panic(err)
	}
	p, err := proxy.New(ctx, proxy.Options{Routes: []proxy.Route{route}})
	if err != nil {
		panic(err)
	}
	front := httptest.NewServer(p.Handler(http.NotFoundHandler()))
	defer front.Close()

	for _, path := range []string{"/api/x", "/other"} {
		res, err := http.Get(front.URL + path)
		if err != nil {
			panic(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(res.StatusCode, string(b))
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 you asked for /api/x
	// 404 404 page not found
}
