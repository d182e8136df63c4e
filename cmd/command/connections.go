package command

import (
	"github.com/spf13/pflag"

	"github.com/moult-go/moult/server"
)

// connectionFlags are those of TLS and limits.
func connectionFlags(fl *pflag.FlagSet, s *server.Service) {
	fl.StringVar(&s.TLS.Cert, "tls-cert", s.TLS.Cert, "`file` of the certificate, its chain below it, in PEM: ports speak TLS; read again when it changes")
	fl.StringVar(&s.TLS.Key, "tls-key", s.TLS.Key, "`file` of its private key, in PEM")
	fl.StringVar(&s.TLS.ClientCA, "tls-client-ca", s.TLS.ClientCA, "`file` of authorities, in PEM: clients must have a certificate that one of them has signed")
	fl.BoolVar(&s.H2C, "h2c", s.H2C, "speak HTTP/2 without TLS too, where there is no TLS")
	l := &s.Limits
	fl.DurationVar(&l.HeaderTimeout, "header-timeout", or(l.HeaderTimeout, server.DefaultHeaderTimeout), "how long a TLS handshake, or the header of a request, may take")
	fl.IntVar(&l.HeaderBytes, "header-bytes", or(l.HeaderBytes, server.DefaultHeaderBytes), "most bytes of a request's header")
	fl.DurationVar(&l.BodyTimeout, "body-timeout", or(l.BodyTimeout, server.DefaultBodyTimeout), "how long the body of a request over HTTP/1 may stand still; negative: no limit")
	fl.DurationVar(&l.RequestTimeout, "request-timeout", l.RequestTimeout, "how long a request may take to arrive, its body included (default no limit)")
	fl.DurationVar(&l.AnswerTimeout, "answer-timeout", l.AnswerTimeout, "how long an answer may take: streams and downloads end with it (default no limit)")
	fl.DurationVar(&l.IdleTimeout, "idle-timeout", l.IdleTimeout, "how long a connection may be idle; a request that comes at that moment is lost (default no limit)")
	fl.IntVar(&l.Connections, "connections", l.Connections, "connections before idle ones are closed for new ones (default three quarters of the descriptors); negative: no limit")
}
