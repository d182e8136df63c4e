package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/moult-go/moult/release/tuf"
)

// bucket is a feed below a prefix of an S3 bucket, or of a store that speaks the same protocol.
type bucket struct {
	name, prefix string
	s3           *minio.Core
}

// errNoBucket says that a bucket is not there.
var errNoBucket = errors.New("no such bucket")

// maxAttempts is how often the library tries what may pass by itself (SlowDown, 5xx, connections that break), with growing
// pauses of up to a second.
const maxAttempts = 10

// newBucket names BUCKET/PREFIX. Flags come before AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION and AWS_DEFAULT_REGION.
// Credentials are found in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the shared credentials file, and the instance's or
// container's role, in this order; without any, requests are anonymous.
func newBucket(name string, f placeFlags) (*bucket, error) {
	b := &bucket{}
	b.name, b.prefix, _ = strings.Cut(name, "/")
	b.prefix = strings.Trim(b.prefix, "/")
	if b.name == "" {
		return nil, &usageError{fmt.Errorf("s3://%s: no bucket", name)}
	}
	endpoint := cmp.Or(f.endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com")
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, &usageError{errors.New("the S3 endpoint is no URL like https://s3.example.com")}
	}
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if os.Getenv("AWS_EC2_METADATA_DISABLED") != "true" {
		providers = append(providers, &credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}})
	}
	o := &minio.Options{
		Creds:      credentials.NewChainCredentials(providers),
		Secure:     u.Scheme == "https",
		Region:     cmp.Or(f.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		MaxRetries: maxAttempts,
	}
	if f.pathStyle {
		o.BucketLookup = minio.BucketLookupPath
	}
	if b.s3, err = minio.NewCore(u.Host, o); err != nil {
		return nil, &usageError{fmt.Errorf("s3://%s: %w", name, err)}
	}
	return b, nil
}

func (b *bucket) String() string { return "s3://" + path.Join(b.name, b.prefix) }

func (b *bucket) key(name string) string { return path.Join(b.prefix, name) }

// fail says what an error of the library means, in our words.
func (b *bucket) fail(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	what = fmt.Sprintf("%s in %s", what, b)
	var r minio.ErrorResponse
	var local *fs.PathError
	if !errors.As(err, &r) {
		if errors.As(err, &local) {
			return fmt.Errorf("%s: %w", what, err)
		}
		return fmt.Errorf("%s: %w: %w", what, tuf.ErrUnreachable, err)
	}
	var kind error
	switch s := r.StatusCode; {
	case r.Code == minio.NoSuchBucket:
		kind = errNoBucket
	case s == http.StatusNotFound && r.Code == minio.NoSuchKey:
		kind = fs.ErrNotExist
	case s == http.StatusNotFound:
		kind = errDenied // it is the access key that versitygw does not find
	case s == http.StatusPreconditionFailed, s == http.StatusConflict:
		kind = errChanged
	case s == http.StatusForbidden, s == http.StatusUnauthorized:
		kind = errDenied
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		kind = tuf.ErrUnreachable
	default:
		return fmt.Errorf("%s: status %d: %w", what, s, err)
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}

func (b *bucket) open(ctx context.Context, name string) (io.ReadCloser, error) {
	f, _, _, err := b.s3.GetObject(ctx, b.name, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, b.missing(b.fail(ctx, "get "+name, err))
	}
	return received{f}, nil
}

// missing takes a refusal for absence, as those see it who may read objects and not list them: the next root is asked for at
// every visit.
func (b *bucket) missing(err error) error {
	if errors.Is(err, errDenied) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

func (b *bucket) size(ctx context.Context, name string) (int64, error) {
	info, err := b.s3.StatObject(ctx, b.name, b.key(name), minio.StatObjectOptions{})
	if err != nil {
		return 0, b.missing(b.fail(ctx, "look at "+name, err))
	}
	return info.Size, nil
}

// lock does nothing: objects are written under conditions instead.
func (b *bucket) lock(context.Context) (unlock func(), err error) { return func() {}, nil }

func (b *bucket) list(ctx context.Context) (map[string]object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing's goroutine when we leave early
	all := make(map[string]object)
	for _, part := range []string{"metadata/", "targets/"} {
		o := minio.ListObjectsOptions{Prefix: b.key(part) + "/", Recursive: true}
		for info := range b.s3.ListObjectsIter(ctx, b.name, o) {
			if info.Err != nil {
				return nil, b.fail(ctx, "list "+part, info.Err)
			}
			name := strings.TrimPrefix(strings.TrimPrefix(info.Key, b.prefix), "/")
			if _, ok := classify(name); ok {
				all[name] = object{size: info.Size, tag: info.ETag, modified: info.LastModified}
			}
		}
	}
	return all, nil
}

// put sends a file by one request, whatever its size: an object is there as a whole or not at all, no parts of it are left to
// be paid for, and its ETag is the MD5 of its content in most stores.
func (b *bucket) put(ctx context.Context, name string, src body, length int64, was *object) error {
	kind, _ := classify(name)
	o := minio.PutObjectOptions{
		ContentType:      kind.contentType,
		CacheControl:     kind.cacheControl,
		DisableMultipart: true,
		SendContentMd5:   true, // the store refuses what was damaged on its way
		// A signature over chunks makes some stores keep "aws-chunked" as the Content-Encoding that they serve.
		DisableContentSha256: true,
	}
	if was == nil {
		o.SetMatchETagExcept("*")
	} else {
		o.SetMatchETag(was.tag)
	}
	_, err := b.s3.Client.PutObject(ctx, b.name, b.key(name), src, length, o)
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented {
		// A store that knows no conditions.
		if _, err = src.Seek(0, io.SeekStart); err != nil {
			return err
		}
		o = minio.PutObjectOptions{ContentType: o.ContentType, CacheControl: o.CacheControl, DisableMultipart: true, SendContentMd5: true, DisableContentSha256: true}
		_, err = b.s3.Client.PutObject(ctx, b.name, b.key(name), src, length, o)
	}
	if err != nil {
		err = b.fail(ctx, "put "+name, err)
	}
	if was != nil && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", errChanged, err)
	}
	return err
}

func (b *bucket) remove(ctx context.Context, name string) error {
	if err := b.s3.RemoveObject(ctx, b.name, b.key(name), minio.RemoveObjectOptions{}); err != nil {
		return b.fail(ctx, "remove "+name, err)
	}
	return nil
}
