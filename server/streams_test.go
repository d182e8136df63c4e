//go:build unix

package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Frame types of HTTP/2 that this client knows (RFC 9113, 6).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	frameGoAway   = 0x7
	frameWindow   = 0x8
)

const atOnce = 8 // streams

// streams posts on several streams at a time of one HTTP/2 connection, in frames written by hand, until a GOAWAY. Go's own client would
// repeat what a GOAWAY drops.
func streams(dial dialer, quit context.Context, s *tally) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	bw, br := bufio.NewWriter(c), bufio.NewReader(c)
	bw.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeFrame(bw, frameSettings, 0, 0, nil)
	writeFrame(bw, frameWindow, 0, 0, []byte{0x7f, 0xfe, 0, 0})
	open, next, leaving := map[uint32]bool{}, uint32(1), false
	for {
		leaving = leaving || quit.Err() != nil || next > 1000
		for !leaving && len(open) < atOnce {
			// HPACK by the static table: POST, http, /, and :authority localhost.
			writeFrame(bw, frameHeaders, 4, next, []byte("\x83\x86\x84\x01\x09localhost"))
			writeFrame(bw, frameData, 1, next, []byte("x"))
			open[next] = true
			next += 2
		}
		if len(open) == 0 {
			return nil
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		time.Sleep(time.Millisecond) // others want the processors too
		if err := bw.Flush(); err != nil {
			return fmt.Errorf("%d streams open: %w", len(open), err)
		}
		kind, flags, stream, payload, err := readFrame(br)
		if err != nil {
			return fmt.Errorf("%d streams open: %w", len(open), err)
		}
		switch kind {
		case frameHeaders, frameData:
			if kind == frameHeaders && payload[0] != 0x88 {
				return fmt.Errorf("stream %d: not status 200", stream)
			}
			if flags&1 != 0 { // END_STREAM
				delete(open, stream)
				s.add(nil)
			}
		case frameReset:
			if open[stream] {
				return fmt.Errorf("stream %d was reset", stream)
			}
		case frameSettings:
			if flags&1 == 0 {
				writeFrame(bw, frameSettings, 1, 0, nil)
			}
		case frameGoAway:
			leaving = true
			for id := range open {
				if last := binary.BigEndian.Uint32(payload); id > last {
					delete(open, id)
					s.add(fmt.Errorf("stream %d was dropped by a GOAWAY with last stream %d", id, last))
				}
			}
		}
	}
}

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	w.Write(append(binary.BigEndian.AppendUint32(head, stream), payload...))
}

func readFrame(r io.Reader) (kind, flags byte, stream uint32, payload []byte, err error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, 0, 0, nil, err
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(r, payload)
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload, err
}
