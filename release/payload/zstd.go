package payload

import (
	"context"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/moult-go/moult/release"
)

func init() { release.RegisterFormat(release.Zstd, decodeZstd) }

// window is the most that a decoder has to remember, in bytes: what RFC 8878 asks every decoder for. On executables a larger
// one gained nothing.
const window = 8 << 20

// Compress writes b as one zstd stream, at the best level, and tells progress (if not nil) how many bytes have gone in. The same
// bytes give the same stream with the same version of this program.
func Compress(ctx context.Context, w io.Writer, b []byte, progress func(done int64)) error {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	e.ResetContentSize(w, int64(len(b)))
	const part = 1 << 20
	for done := 0; done < len(b); done += part {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := e.Write(b[done:min(done+part, len(b))]); err != nil {
			return err
		}
		if progress != nil {
			progress(int64(min(done+part, len(b))))
		}
	}
	return e.Close()
}

// decodeZstd runs in this goroutine alone and holds little more than one window.
func decodeZstd(w io.Writer, payload io.Reader, _ release.Decoding) error {
	d, err := zstd.NewReader(payload, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.WriteTo(w)
	return err
}
