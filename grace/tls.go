package grace

import (
	"crypto/tls"
	"net/http"
	"reflect"
	"slices"
)

// ownTickets reports whether the application looks after tickets by itself: our keys would undo what it shares with other hosts.
func ownTickets(cfg *tls.Config) bool {
	// SetSessionTicketKeys leaves no other trace. TestOwnTickets pins the name of the field.
	given := reflect.ValueOf(cfg).Elem().FieldByName("sessionTicketKeys")
	//lint:ignore SA1019 a program may still set it
	return cfg.SessionTicketsDisabled || cfg.SessionTicketKey != [32]byte{} || cfg.WrapSession != nil || cfg.UnwrapSession != nil ||
		given.IsValid() && given.Len() > 0
}

// tlsConfig is the config that http.Server.ServeTLS makes for itself alone: a clone with the protocols of srv, and the certificate of
// the files unless they are unnamed and srv.TLSConfig has one. HTTP/2 of srv must be set up.
func tlsConfig(srv *http.Server, certFile, keyFile string) (*tls.Config, error) {
	cfg := srv.TLSConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	http1 := srv.Protocols == nil || srv.Protocols.HTTP1()
	http2 := (srv.Protocols == nil || srv.Protocols.HTTP2()) && srv.TLSNextProto[nextProtoH2] != nil
	cfg.NextProtos = slices.Clone(cfg.NextProtos)
	for _, proto := range []struct {
		name string
		on   bool
	}{{nextProtoH2, http2}, {"http/1.1", http1}} {
		switch has := slices.Contains(cfg.NextProtos, proto.name); {
		case proto.on && !has:
			cfg.NextProtos = append(cfg.NextProtos, proto.name)
		case !proto.on && has:
			cfg.NextProtos = slices.DeleteFunc(cfg.NextProtos, func(s string) bool { return s == proto.name })
		}
	}
	has := len(cfg.Certificates) > 0 || cfg.GetCertificate != nil || cfg.GetConfigForClient != nil
	if !has || certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}
