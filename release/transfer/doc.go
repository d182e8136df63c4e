// Package transfer gets files over HTTP from servers that nobody vouches for: metadata, indexes and checksums whole, payloads as
// a stream. It knows nothing of signatures; it sees to it that no server, mirror, proxy or bad line can take more than was meant for it.
//
//	c, err := transfer.New(transfer.Options{UserAgent: "hello/1.2.0"})
//	file, err := c.Get(ctx, "https://example.com/hello/releases.json", 1<<20, seen) // seen: the Validators of the last time
//	if !file.NotModified { … }
//	err = c.Download(ctx, mirrors, length, sha256, dst)
//
// What it promises:
//   - Size: Get never reads more than its limit, Download never more than the length that was signed for.
//   - Time: a small file has a timeout; a download is given up when it brings less than 1 KiB/s over the stall window, so
//     that neither an endless nor a dripping body holds an update. The context ends either at once.
//   - Content: bytes as they were stored (no compression is asked for, and none is taken), no web page with status 200 for a file.
//     A download ends well only if its SHA-256 is the one asked for.
//   - Resuming: a [Sink] goes on where it stopped, by Range and If-Range with a strong ETag. A weak one, or a date, never
//     resumes: it may name other bytes. A file that changed, or a digest that is wrong after a resume, starts over once.
//   - Mirrors: the digest makes them equal. One that is slow, broken, out of date or lying costs its own turn and nothing else.
//   - Redirects: 10 at most, never from https to http. Credentials go to the one origin that they are for, and no further.
//   - Proxies: HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Own certificate authorities: a PEM file, beside the system's.
//
// Errors match one of the sentinels by errors.Is, and say what was asked of whom without passwords or queries.
package transfer
