package server

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/moult-go/moult/server/page"
)

// statusPage is the page of package page at one of its places.
func (r *runner) statusPage(at page.Place) http.Handler {
	hosts := slices.Concat(r.s.AllowedHosts, r.s.Ops)
	for i, h := range hosts {
		if _, address, ok := strings.Cut(h, "://"); ok {
			hosts[i] = address
		}
	}
	return page.New(page.Options{Server: r, Place: at, Operator: r, TokenFile: r.s.OpsTokenFile, Hosts: hosts, Logger: r.log})
}

// withPage answers below Service.StatusPath before next is asked.
func (r *runner) withPage(next http.Handler) http.Handler {
	prefix := strings.TrimSuffix(r.s.StatusPath, "/")
	if prefix == "" {
		return next
	}
	public := http.StripPrefix(prefix, r.statusPage(page.Public))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == prefix: // relative, as all links of the page are: a proxy may have another prefix
			w.Header().Set("Location", path.Base(prefix)+"/")
			w.WriteHeader(http.StatusFound)
		case strings.HasPrefix(req.URL.Path, prefix+"/"):
			public.ServeHTTP(w, req)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// checkPage says what is wrong with the settings of the page.
func (s Service) checkPage() error {
	p := strings.TrimSuffix(s.StatusPath, "/")
	if s.StatusPath != "" && (p == "" || p == "/" || p[0] != '/' || path.Clean(p) != p || p == "/livez" || p == "/readyz") {
		return fmt.Errorf("status path %q: want a path of its own, such as /status/", s.StatusPath)
	}
	if s.OpsTokenFile == "" {
		return nil
	}
	return page.CheckToken(s.OpsTokenFile)
}
