package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
)

// Download streams a file of which length and digest are known to dst. The URLs are mirrors of it: the first is asked first, unless
// another brought what dst holds already, the others follow in random order. It is an error if no mirror has exactly these bytes.
//
// A plain writer gets never more than length bytes, and must be thrown away after an error; once it has bytes no other mirror can be asked.
// A [Sink] is resumed, now and in later calls, and may be kept after any error: what is known to be wrong was cut off it.
func (c *Client) Download(ctx context.Context, urls []string, length int64, sha256 release.Digest, dst io.Writer) error {
	if len(urls) == 0 || length <= 0 || sha256.IsZero() {
		return fmt.Errorf("download: no address, length or digest: %w", ErrMalformed)
	}
	d := &download{c: c, length: length, sha256: sha256, sink: local{asSink(dst)}}
	var errs []error
	for _, u := range d.order(urls) {
		err := d.from(ctx, u)
		if err == nil {
			return nil
		}
		var own *localError
		if errors.As(err, &own) {
			if errors.Is(own.err, errSpoiled) {
				break // what made the mirror before fail is the reason
			}
			return own.err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// download is one call of Download.
type download struct {
	c      *Client
	length int64
	sha256 release.Digest
	sink   local
}

// order shuffles all mirrors but the first, and puts the one that the sink's bytes came from before it: another one's ETag
// differs, most likely, and its answer would start over.
func (d *download) order(urls []string) []string {
	urls = slices.Clone(urls)
	rand.Shuffle(len(urls)-1, func(i, j int) { urls[i+1], urls[j+1] = urls[j+1], urls[i+1] })
	_, validator := d.sink.Have()
	if _, host, ok := strings.Cut(validator, " "); ok {
		if i := slices.IndexFunc(urls, func(u string) bool { return hostOf(u) == host }); i > 0 {
			u := urls[i]
			urls = slices.Insert(slices.Delete(urls, i, i+1), 0, u)
		}
	}
	return urls
}

func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}

// errRange says that what came does not go on where the sink stops.
var errRange = errors.New("not the range that was asked for")

// from asks one mirror. If what the sink held turns out to be of another file, it starts over.
func (d *download) from(ctx context.Context, u string) error {
	n, validator := d.sink.Have()
	if n == d.length && d.sink.Sum() == d.sha256 {
		return nil
	}
	if n >= d.length || validator == "" {
		n = 0
	}
	err := d.attempt(ctx, u, n, validator)
	if n > 0 && (errors.Is(err, errRange) || errors.Is(err, ErrDigestMismatch)) {
		err = d.attempt(ctx, u, 0, "")
	}
	return err
}

// attempt is one request. It goes on after n bytes that the validator vouches for, if n > 0.
func (d *download) attempt(ctx context.Context, u string, n int64, validator string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := watch(d.c.o.StallWindow, cancel)
	defer w.stop()
	ask := http.Header{}
	if n > 0 {
		tag, _, _ := strings.Cut(validator, " ")
		ask.Set("Range", fmt.Sprintf("bytes=%d-", n))
		ask.Set("If-Range", tag)
	}
	res, err := d.c.open(ctx, u, ask)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if n, err = d.accept(u, res, n, validator); err != nil {
		return err
	}
	src := io.TeeReader(io.LimitReader(res.Body, d.length-n), w)
	got, err := io.Copy(d.sink, src)
	var own *localError
	switch {
	case errors.As(err, &own):
		return err
	case err != nil:
		return broken(ctx, Redact(u), err)
	case n+got < d.length:
		return fmt.Errorf("get %s: %d of %d bytes: %w", Redact(u), n+got, d.length, ErrTruncated)
	}
	if more, _ := io.ReadFull(res.Body, make([]byte, 1)); more > 0 {
		return fmt.Errorf("get %s: more than %d bytes: %w", Redact(u), d.length, ErrOversized)
	}
	return d.verify(u)
}

// accept judges the head of an answer and begins the sink: it returns how many bytes are there already.
func (d *download) accept(u string, res *http.Response, n int64, validator string) (int64, error) {
	tag, _, _ := strings.Cut(validator, " ")
	switch {
	case res.StatusCode == http.StatusOK:
		n = 0 // the file has changed, or this server cannot resume
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && n > 0:
		return 0, fmt.Errorf("get %s: status 416 for what follows %d bytes: %w: %w", Redact(u), n, errRange, ErrMalformed)
	case res.StatusCode != http.StatusPartialContent || n == 0:
		return 0, refusal(u, res)
	case !d.follows(res.Header, n, tag):
		return 0, fmt.Errorf("get %s: %.80q after %d of %d bytes: %w: %w", Redact(u), res.Header.Get("Content-Range"), n, d.length, errRange, ErrMalformed)
	}
	if err := checkContent(u, res); err != nil {
		return 0, err
	}
	switch left := d.length - n; {
	case res.ContentLength > left:
		return 0, fmt.Errorf("get %s: %d bytes for %d: %w", Redact(u), res.ContentLength, left, ErrOversized)
	case res.ContentLength >= 0 && res.ContentLength < left:
		return 0, fmt.Errorf("get %s: %d bytes for %d: %w", Redact(u), res.ContentLength, left, ErrTruncated)
	}
	if n == 0 {
		validator = ""
		if tag := strongETag(res.Header); tag != "" {
			validator = tag + " " + hostOf(u)
		}
	}
	return n, d.sink.Begin(n, validator)
}

// follows reports whether a 206 has what follows n bytes of the very file, to its end.
func (d *download) follows(h http.Header, n int64, tag string) bool {
	first, last, total, ok := contentRange(h.Get("Content-Range"))
	if got := h.Get("ETag"); got != "" && got != tag {
		return false
	}
	return ok && first == n && last == d.length-1 && (total < 0 || total == d.length)
}

// verify compares what the sink holds with what was asked for, and empties it if that is something else.
func (d *download) verify(u string) error {
	sum := d.sink.Sum()
	if sum == d.sha256 {
		return nil
	}
	err := fmt.Errorf("get %s: %w: %s", Redact(u), ErrDigestMismatch, sum)
	if _, ok := d.sink.Sink.(*stream); ok {
		return err
	}
	return errors.Join(err, d.sink.Begin(0, ""))
}
