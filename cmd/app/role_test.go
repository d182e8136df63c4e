package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"testing"

	"github.com/moult-go/moult/grace/role"
)

// roleVariable makes the test binary play the app, or something to measure it by: it need not be built then.
const roleVariable = "MOULT_TEST_ROLE"

func TestMain(m *testing.M) {
	part := os.Getenv(roleVariable)
	if role.Current() != role.None { // a successor, or a proof, whose environment is clean
		part = "app"
	}
	switch part {
	case "":
		os.Exit(m.Run())
	case "app":
		main()
	default:
		fmt.Fprintln(os.Stderr, bare(part, os.Args[1], os.Args[2]))
		os.Exit(1)
	}
}

// bare serves what net/http has: the files of a directory, or a proxy for a URL whose connections are kept as ours are.
func bare(part, address, what string) error {
	h := http.FileServer(http.Dir(what))
	if part == "proxy" {
		u, err := url.Parse(what)
		if err != nil {
			return err
		}
		h = &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u); r.SetXForwarded() },
			Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		}
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return http.Serve(ln, h)
}
