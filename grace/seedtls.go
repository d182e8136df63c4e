package grace

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// tlsListener is what ListenTLS returns: TLS for those who accept by themselves. Our own serving methods take the gate
// below, since HTTP/2 needs net/http to set TLS up; by serve, a field, so that a program without TLS does not link it.
type tlsListener struct {
	net.Listener
	gate  *gate
	serve func(*Process, *http.Server, net.Listener) error
}

// ListenAndServeTLS serves HTTPS, HTTP/2 included, on the server's address; if that is empty, on ":https". Both file names
// may be empty when TLSConfig has Certificates, GetCertificate or GetConfigForClient.
func (srv *Server) ListenAndServeTLS(certFile, keyFile string) error {
	ln, err := srv.ListenTLS(certFile, keyFile)
	if err != nil {
		return err
	}
	return srv.ServeTLS(ln)
}

// ListenTLS opens what ServeTLS serves on, with the files of ListenAndServeTLS.
func (srv *Server) ListenTLS(certFile string, keyFile string) (net.Listener, error) {
	config, err := srv.certified(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return srv.listenTLS(config)
}

// ListenAndServeMutualTLS is ListenAndServeTLS for clients that have a certificate themselves, signed by one of the
// authorities in trustFile (PEM). A file without any is an error.
func (srv *Server) ListenAndServeMutualTLS(certFile, keyFile, trustFile string) error {
	ln, err := srv.ListenMutualTLS(certFile, keyFile, trustFile)
	if err != nil {
		return err
	}
	return srv.ServeTLS(ln)
}

// ListenMutualTLS opens what ServeTLS serves on, with the files of ListenAndServeMutualTLS.
func (srv *Server) ListenMutualTLS(certFile string, keyFile string, trustFile string) (net.Listener, error) {
	config, err := srv.certified(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(trustFile)
	if err != nil {
		return nil, fmt.Errorf("read the trusted authorities: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the trusted authorities: no certificate in %s", trustFile)
	}
	return srv.listenTLS(config)
}

// ServeTLS serves HTTPS on a listener of ListenTLS or ListenMutualTLS, or on one of Listen or a [Process] with the certificates in TLSConfig. On
// a listener that wraps one of those it is ServeWithListener. Any other is refused.
func (srv *Server) ServeTLS(ln net.Listener) error {
	if g, ok := ln.(*gate); ok {
		return srv.serve(g, (*Process).serveSecure)
	}
	return srv.ServeWithListener(ln)
}

// serveSecure has the certificates in the server's TLSConfig.
func (p *Process) serveSecure(srv *http.Server, ln net.Listener) error {
	return p.ServeTLS(srv, ln, "", "")
}

// certified returns a copy of TLSConfig with the certificate of the files.
func (srv *Server) certified(certFile, keyFile string) (*tls.Config, error) {
	config := srv.TLSConfig.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if certFile == "" && keyFile == "" {
		if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
			return nil, errors.New("listen for TLS: no certificate: name its files, or set TLSConfig.Certificates or GetCertificate")
		}
		return config, nil
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("listen for TLS: %w", err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}

func (srv *Server) listenTLS(config *tls.Config) (net.Listener, error) {
	g, err := srv.open(":https")
	if err != nil {
		return nil, err
	}
	srv.TLSConfig = config
	srv.ln = &tlsListener{tls.NewListener(g, config), g, (*Process).serveSecure}
	return srv.ln, nil
}
