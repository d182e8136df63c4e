package gracetest

import (
	"fmt"
	"net/http"
	"time"
)

// What Stream sends: about a second long.
const (
	streamPieces = 50
	streamPiece  = 1000 // bytes
	streamSize   = streamPieces * streamPiece
	streamPause  = 20 * time.Millisecond
)

// streamByte is what stands at offset n. The period, a prime, does not divide a piece: one that is lost or sent
// twice shows.
func streamByte(n int) byte { return byte(n % 251) }

// Stream is the handler of [Options.StreamPath]: an answer of 50 pieces, 20 ms apart, whose every byte is known to the client.
func Stream(w http.ResponseWriter, r *http.Request) {
	piece := make([]byte, streamPiece)
	for i := range streamPieces {
		for j := range piece {
			piece[j] = streamByte(i*streamPiece + j)
		}
		if _, err := w.Write(piece); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-time.After(streamPause):
		case <-r.Context().Done():
			return
		}
	}
}

// streamCheck compares what is written to it with what Stream sends.
type streamCheck struct{ n int }

func (s *streamCheck) Write(b []byte) (int, error) {
	for i := range b {
		if b[i] != streamByte(s.n) {
			return i, fmt.Errorf("stream: wrong byte at %d", s.n)
		}
		s.n++
	}
	return len(b), nil
}
