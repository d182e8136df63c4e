package main

import (
	"regexp"
	"strings"
)

// How long what may be cached. A name that holds a version or a digest never gets other bytes. The timestamp is the one file
// that changes: for a minute it may be stale, so that a CDN asks its origin once a minute and not once for each server, and so
// briefly that two of its edges hardly ever show a server an older feed after a newer one. The same for a file that is not there:
// the next root is asked for at every check, and when it comes it should be seen.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheBriefly = "public, max-age=60"
)

const timestampPath = "metadata/timestamp.json"

var (
	metadataRule = regexp.MustCompile(`^metadata/[1-9][0-9]*\.[A-Za-z0-9_-]+\.json$`)
	rootRule     = regexp.MustCompile(`^metadata/[1-9][0-9]*\.root\.json$`)
	targetRule   = regexp.MustCompile(`^targets/([^/.][^/]*/)*([0-9a-f]{64})\.[^/]+$`)
)

// feedFile is what a path in a feed means to whoever serves it.
type feedFile struct {
	contentType, cacheControl string
	digest                    string // that the name holds, or ""
}

// classify tells the files of a feed from whatever else lies in its directory or bucket: locks, files half written, keys that are
// there by mistake. ok is false for those: they are neither served nor copied nor removed.
func classify(path string) (f feedFile, ok bool) {
	switch m := targetRule.FindStringSubmatch(path); {
	case path == timestampPath:
		return feedFile{"application/json", cacheBriefly, ""}, true
	case metadataRule.MatchString(path):
		return feedFile{"application/json", cacheForever, ""}, true
	case m == nil:
		return feedFile{}, false
	case strings.HasSuffix(path, ".json"):
		return feedFile{"application/json", cacheForever, m[2]}, true
	default:
		// Compressed payloads as well: a Content-Encoding would make clients decompress what they have a digest of.
		return feedFile{"application/octet-stream", cacheForever, m[2]}, true
	}
}
