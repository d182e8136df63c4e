package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/moult-go/moult/release/tuf"
)

// lookAtServer reads the feed as a server would, and then looks at how it is served.
func (d *doctor) lookAtServer(ctx context.Context, where string, root []byte) {
	if root == nil {
		d.fail("served", "name the root that the program embeds by --root", "nothing to verify %s from", where)
		return
	}
	base, err := url.Parse(where)
	if err != nil {
		d.fail("served", "name it as https://HOST/PATH", "%v", err)
		return
	}
	if base.Scheme == "https" {
		d.ok("https", "yes")
	} else {
		d.warn("https", "serve it by https: signatures protect the feed, and nothing hides who asks for it", "no: %s", base.Redacted())
	}
	served, err := viewURL(ctx, where, root)
	if err != nil {
		d.failWith("served", err)
		return
	}
	d.ok("served", "a new host that asks %s verifies it", base.Redacted())
	d.compare(served)
	p := &probe{client: &http.Client{Timeout: 30 * time.Second}, base: base}
	for _, look := range []func(context.Context, *probe) error{d.lookAtTimestamp, d.lookAtImmutable, d.lookAtNextRoot} {
		if err := look(ctx, p); err != nil {
			d.failWith("served", err)
		}
	}
}

// compare holds what is served against the directory.
func (d *doctor) compare(served *view) {
	if d.repo == nil {
		return
	}
	switch h, t := versionOf("timestamp", d.repo.Expiries()), versionOf("timestamp", served.expiries); {
	case t < h:
		d.warn("current", "moult sync; if that was done, a cache in between holds the timestamp for too long", "timestamp %d is served, and %s has %d", t, d.dir, h)
	case t > h:
		d.fail("current", "somebody else publishes: moult sync from there before you sign anything here", "timestamp %d is served, and %s has %d only", t, d.dir, h)
	default:
		d.ok("current", "what is served is what is in %s", d.dir)
	}
}

func versionOf(role string, all []tuf.Expiry) int64 {
	for _, e := range all {
		if e.Role == role {
			return e.Version
		}
	}
	return 0
}

// probe asks for single files.
type probe struct {
	client *http.Client
	base   *url.URL
}

// maxProbe bounds what is read of an answer.
const maxProbe = 6 << 20

func (p *probe) get(ctx context.Context, name string, header ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", "moult-doctor")
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxProbe))
	return res, b, err
}

// maxTimestampAge is how long a cache may hold the timestamp: longer, and edges that disagree look like an attack.
const maxTimestampAge = 5 * time.Minute

func (d *doctor) lookAtTimestamp(ctx context.Context, p *probe) error {
	res, _, err := p.get(ctx, "metadata/timestamp.json")
	if err != nil {
		return err
	}
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		if off := d.now.Sub(at).Abs(); off > 5*time.Minute {
			d.warn("clock", "set the clock of this host, or of that server", "this host's clock and the server's are %s apart", off.Round(time.Second))
		} else {
			d.ok("clock", "this host and the server agree")
		}
	}
	if age := maxAge(res.Header.Get("Cache-Control")); age > maxTimestampAge {
		d.warn("cache-timestamp", "Cache-Control: no-cache (or max-age of at most 60) for timestamp.json: docs/howto/hosting.md", "timestamp.json may be cached for %s", age)
	} else {
		d.ok("cache-timestamp", "timestamp.json is not held for long")
	}
	tag := res.Header.Get("ETag")
	if tag == "" {
		d.warn("etag", "let the server send an ETag: an unchanged check then costs no body", "timestamp.json has no ETag")
		return nil
	}
	res, _, err = p.get(ctx, "metadata/timestamp.json", "If-None-Match", tag)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusNotModified {
		d.warn("etag", "let the server answer If-None-Match", "asked again with its ETag, timestamp.json comes with status %d instead of 304", res.StatusCode)
		return nil
	}
	d.ok("etag", "an unchanged timestamp.json costs no body")
	return nil
}

func (d *doctor) lookAtImmutable(ctx context.Context, p *probe) error {
	const name = "metadata/1.root.json"
	res, whole, err := p.get(ctx, name)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: status %d", name, res.StatusCode)
	}
	if age := maxAge(res.Header.Get("Cache-Control")); age < 24*time.Hour {
		d.warn("cache-immutable", "Cache-Control: public, max-age=31536000, immutable for all but timestamp.json: docs/howto/hosting.md", "%s may be cached for %s only", name, age)
	} else {
		d.ok("cache-immutable", "files that never change are cached")
	}
	if e := res.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		d.warn("encoding", "turn compression off for the feed: payloads are compressed already", "%s comes as %s although nobody asked for it", name, e)
	}
	res, part, err := p.get(ctx, name, "Range", "bytes=1-4")
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusPartialContent && string(part) == string(whole[1:5]):
		d.ok("range", "a download that broke can go on")
	default:
		d.warn("range", "let the server answer Range: otherwise a download that broke begins again", "a part of %s comes with status %d", name, res.StatusCode)
	}
	return nil
}

// lookAtNextRoot asks for the root that comes after the newest: half of all requests of a fleet.
func (d *doctor) lookAtNextRoot(ctx context.Context, p *probe) error {
	next := int64(2)
	if d.repo != nil {
		next = versionOf("root", d.repo.Expiries()) + 1
	}
	name := fmt.Sprintf("metadata/%d.root.json", next)
	res, _, err := p.get(ctx, name)
	if err != nil {
		return err
	}
	switch res.StatusCode {
	case http.StatusNotFound, http.StatusForbidden, http.StatusGone:
	case http.StatusOK:
		return errors.New(name + " is there: somebody else has changed the root, or a web page is served for what is missing")
	default:
		return fmt.Errorf("get %s: status %d", name, res.StatusCode)
	}
	if age := maxAge(res.Header.Get("Cache-Control")); age > maxTimestampAge {
		d.warn("cache-missing", "cache a 404 for at most five minutes: a new root is seen only after it", "that %s is not there may be cached for %s", name, age)
		return nil
	}
	d.ok("cache-missing", "a new root will be seen at once")
	return nil
}

// maxAge reads Cache-Control; 0 if a cache must ask each time, or nothing is said.
func maxAge(s string) time.Duration {
	var age time.Duration
	for word := range strings.SplitSeq(strings.ToLower(s), ",") {
		word = strings.TrimSpace(word)
		if word == "no-store" || word == "no-cache" {
			return 0
		}
		for _, name := range []string{"max-age=", "s-maxage="} {
			if v, ok := strings.CutPrefix(word, name); ok {
				if n, err := strconv.ParseInt(v, 10, 32); err == nil {
					age = max(age, time.Duration(n)*time.Second)
				}
			}
		}
	}
	return age
}
