package server

import (
	"io"
	"net/http"
	"time"
)

// steady ends requests over HTTP/1 whose body stands still: each read of it has limit to bring something. Over HTTP/2 a body that waits is
// what gRPC does for hours, and costs no connection. whole bounds the body as a whole; 0 does not.
//
// net/http has a deadline for the whole body only. Where a handler has read to the end, the deadline goes, as it would otherwise meet the read
// by which net/http watches for the end of the connection, and cancel the request.
func steady(next http.Handler, limit, whole time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &steadyBody{ReadCloser: r.Body, conn: http.NewResponseController(w), limit: limit}
		if whole > 0 {
			b.end = time.Now().Add(whole)
		}
		with := *r
		with.Body = b
		next.ServeHTTP(w, &with)
	})
}

type steadyBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	limit time.Duration
	end   time.Time // zero: none
}

func (b *steadyBody) Read(p []byte) (int, error) {
	by := time.Now().Add(b.limit)
	if !b.end.IsZero() && b.end.Before(by) {
		by = b.end
	}
	b.conn.SetReadDeadline(by) // an error shows in the read
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
