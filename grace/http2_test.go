package grace

import (
	"bytes"
	"testing"
)

// frame makes one of the given type.
func frame(kind, flags byte, stream uint32, payload int) []byte {
	f := []byte{byte(payload >> 16), byte(payload >> 8), byte(payload), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}
	return append(f, make([]byte, payload)...)
}

// TestFrameScanner: whatever the pieces, it knows where a frame may be put in: never inside one, nor in a header block.
func TestFrameScanner(t *testing.T) {
	stream := bytes.Join([][]byte{
		frame(0x4, 0, 0, 18),                           // SETTINGS
		frame(frameHeaders, 0, 1, 300),                 // an open header block
		frame(frameContinuation, 0, 1, 5),              //
		frame(frameContinuation, flagEndHeaders, 1, 0), // ends it
		frame(0x0, 1, 1, 70000),                        // DATA
		frame(frameHeaders, flagEndHeaders, 7, 1),
		frame(frameHeaders, flagEndHeaders, 3, 1), // trailers of an older stream
	}, nil)
	// Where frames end outside of a header block, from the sizes above.
	var ends []int
	at := 0
	for i, n := range []int{18, 300, 5, 0, 70000, 1, 1} {
		at += frameHeaderLen + n
		if i != 1 && i != 2 {
			ends = append(ends, at)
		}
	}
	for _, piece := range []int{1, 2, 7, 9, 10, 100, 4096, len(stream)} {
		var s frameScanner
		var got []int
		for i := 0; i < len(stream); {
			n := min(piece, len(stream)-i)
			s.scan(stream[i : i+n])
			i += n
			if s.between() {
				got = append(got, i)
			}
		}
		for _, g := range got {
			found := false
			for _, e := range ends {
				found = found || e == g
			}
			if !found {
				t.Errorf("pieces of %d: %d is taken for an end; ends are %v", piece, g, ends)
			}
		}
		if piece == 1 && len(got) != len(ends) {
			t.Errorf("ends %v, want %v", got, ends)
		}
		if s.highest != 7 {
			t.Errorf("pieces of %d: highest stream %d, want 7", piece, s.highest)
		}
	}
}

func TestGoAwayFrame(t *testing.T) {
	want := []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	if got := goAwayFrame(1<<31 - 1); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

// FuzzFrameScanner: it does not matter how a connection's bytes are cut, and the place of a frame of ours is never inside another.
func FuzzFrameScanner(f *testing.F) {
	f.Add(bytes.Join([][]byte{frame(0x4, 0, 0, 18), frame(frameHeaders, 0, 1, 30), frame(frameContinuation, flagEndHeaders, 1, 0)}, nil), 5)
	f.Add(goAwayFrame(7), 1)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		var whole, parts frameScanner
		whole.scan(stream)
		cut = max(0, min(cut, len(stream)))
		parts.scan(stream[:cut])
		between := parts.between()
		if between { // what we put in there changes nothing for what follows
			parts.scan(goAwayFrame(0))
		}
		parts.scan(stream[cut:])
		if parts.between() != whole.between() || parts.highest != whole.highest || parts.left != whole.left {
			t.Errorf("cut at %d: %+v, whole %+v", cut, parts, whole)
		}
	})
}
