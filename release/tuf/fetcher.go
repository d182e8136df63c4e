package tuf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release/transfer"
)

// metadataFetcher is what go-tuf downloads through during one Refresh. go-tuf's interface has no context, so that this one
// carries it, for the length of that call.
type metadataFetcher struct {
	ctx   context.Context
	c     *Client
	roots [][]byte // fetched, in ascending order

	tag       string // of the timestamp that was fetched
	body      []byte
	unchanged bool // it came as a 304

	settled bool // there is no newer root, and the timestamp is the cached one: nothing is asked for
	failed  bool // something could not be fetched
}

// limits caps each role's file. go-tuf takes the length that the timestamp and the snapshot name, however large: who holds the
// online key could fill the memory of every server.
var limits = map[string]int64{metadata.ROOT: 512 << 10, metadata.TIMESTAMP: maxTimestamp, metadata.SNAPSHOT: 2 << 20, metadata.TARGETS: maxMetadata, brakeRole: maxBrakeMetadata}

// DownloadFile implements go-tuf's fetcher.
func (f *metadataFetcher) DownloadFile(u string, limit int64, _ time.Duration) ([]byte, error) {
	role := roleOf(path.Base(u))
	most, ok := limits[role]
	if !ok {
		most = maxMetadata // of a role that targets delegate to
	}
	b, err := f.fetch(u, role, min(limit, most))
	if errors.Is(err, errNoNewerRoot) {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: transfer.Redact(u)}
	}
	if err == nil {
		if err = wellFormed(role, b); err != nil {
			err = fmt.Errorf("get %s: %w", transfer.Redact(u), err)
		}
	}
	f.failed = err != nil
	if err == nil && role == metadata.ROOT {
		f.roots = append(f.roots, b)
	}
	return b, err
}

// roleOf is the role of a metadata file: N.ROLE.json, or ROLE.json where names hold no version.
func roleOf(name string) string {
	name = strings.TrimSuffix(name, ".json")
	if version, role, ok := strings.Cut(name, "."); ok && version != "" && strings.Trim(version, "0123456789") == "" {
		return role
	}
	return name
}

// guard runs a part of go-tuf's way. Whatever fails there after the network had brought what was asked for is wrong with the file.
func (f *metadataFetcher) guard(part func() error) error {
	err := guard(part)
	if err != nil && !f.failed {
		err = malformedIfUnknown(ofCache(err))
	}
	return err
}

var errNoNewerRoot = errors.New("no newer root")

func (f *metadataFetcher) fetch(u, role string, limit int64) ([]byte, error) {
	switch {
	case role == metadata.ROOT && f.settled:
		return nil, errNoNewerRoot
	case role == metadata.TIMESTAMP && f.settled:
		return readCapped(f.c.cache.path("timestamp.json"), limit)
	case role == metadata.TIMESTAMP:
		return f.timestamp(u, limit)
	}
	file, err := f.c.web.Get(f.ctx, u, limit, transfer.Validators{})
	var status *HTTPError
	if role == metadata.ROOT && errors.As(err, &status) && errors.Is(err, ErrNotFound) {
		return nil, errNoNewerRoot // object stores answer 403 for what is not there
	}
	return file.Body, err
}

// maxUnchanged is the number of checks in a row that take a server's word for it that the timestamp is the one they have. A server
// that gives the tag of new bytes to old ones (an object store did that which keeps tags beside its files) would else hold a client to
// them until they expire.
const maxUnchanged = 12

// timestamp asks for the one file that changes under its name, and asks conditionally. The cached bytes that answer a 304 are
// verified like any others, their date included.
func (f *metadataFetcher) timestamp(u string, limit int64) ([]byte, error) {
	cached, tag := f.c.cache.timestamp()
	if f.c.unchanged >= maxUnchanged {
		tag = ""
	}
	f.c.unchanged++
	file, err := f.c.web.Get(f.ctx, u, limit, transfer.Validators{ETag: tag})
	if err != nil {
		f.c.unchanged = 0
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	if file.NotModified {
		file.Body, f.unchanged = cached, true
	} else {
		f.c.unchanged = 0
	}
	f.tag, f.body = file.ETag, file.Body
	return f.body, nil
}

// keepETag stores the tag with the digest of its body. If go-tuf kept another body (same version, signed again), the digest
// will not fit and the next request is unconditional.
func (f *metadataFetcher) keepETag() error {
	if f.tag == "" {
		return nil
	}
	return f.c.cache.putETag(f.tag, f.body)
}

// dropETag forgets the tag of a timestamp that came as a 304 and led to nothing, so that no server, nor a tag that is not
// unique, can hold a client to it.
func (f *metadataFetcher) dropETag() error {
	if !f.unchanged {
		return nil
	}
	return removeFile(f.c.cache.path(etagFile))
}
