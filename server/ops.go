package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/moult-go/moult/server/page"
)

// opsName is that of the sockets of Service.Ops, by which a successor finds them and a unit may name one (FileDescriptorName=).
const opsName = "ops"

// opsListeners are those of Ops. They speak TLS only where that is asked for: who scrapes is seldom told of the certificate.
func (s Service) opsListeners() []Listener {
	var list []Listener
	for _, address := range s.Ops {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		list = append(list, Listener{Address: address, Name: opsName})
	}
	return list
}

// openOps opens the operations listeners, and returns what serves on them. Like the public ones they go over to a successor that is
// ready: whoever scrapes sees the process that serves.
func (r *runner) openOps(ctx context.Context) ([]func() error, error) {
	var services []func() error
	for _, l := range r.s.opsListeners() {
		socket, _, err := l.socket()
		if err != nil {
			return nil, err
		}
		ln, err := r.p.Open(socket)
		if err != nil {
			return nil, err
		}
		secure, err := r.secure(l)
		if err != nil {
			return nil, err
		}
		r.ops = append(r.ops, ln)
		r.log.Info("listening for operators", "generation", r.p.Generation(), "address", ln.Addr().String())
		srv := r.httpServer(ctx, r.opsHandler(page.Ops))
		if srv.TLSConfig = secure; secure == nil {
			services = append(services, func() error { return r.p.Serve(srv, ln) })
		} else {
			services = append(services, func() error { return r.p.ServeTLS(srv, ln, "", "") })
		}
	}
	return services, nil
}

// opsHandler answers what operators may ask on their listeners and on the admin socket. It only tells; what the
// buttons of the page may do, it decides by where it is.
func (r *runner) opsHandler(at page.Place) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/livez", r.livez())
	mux.Handle("/readyz", r.readyz(true))
	mux.Handle("GET /metrics", r.metrics)
	mux.Handle("/", r.statusPage(at))
	return mux
}
