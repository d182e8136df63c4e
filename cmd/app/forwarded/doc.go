// Package forwarded tells who a client is when other proxies stand before this one, and tells the server behind it.
//
//	trust, err := forwarded.ParseTrust([]string{"10.0.0.0/8", "unix"})
//	addr := trust.Client(r)         // for a log
//	trust.Set(out.Header, r)        // for an upstream
//
// The headers are X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, and Forwarded (RFC 7239). Anybody can send them, so what a
// request brings counts only if it comes from a peer that is trusted, and of the addresses in it only those that trusted peers wrote: they are read
// from the right, up to the first that is not trusted. A proxy that is trusted has to set, or remove, all of these headers itself.
// Of X-Forwarded-For and Forwarded the first counts if both are there.
package forwarded
