// Package payload makes the files of a feed from executables. Who imports it can decode them too: it registers its
// formats with package release, as image formats are registered.
//
//	zstd      the executable as one zstd stream
//	delta     what makes it from another executable: the container of package release/delta
//	bsdiff40  the same by Colin Percival's bsdiff 4; read and not written here
//
// A payload is fetched and verified as a file before it is decoded, and what comes out is held against the digest of the
// executable. In between a decoder takes nothing for granted: it is bounded by what was signed and not by what the payload says
// of itself. Deltas are one way to the executable; if anything is wrong with one, there is the full payload.
package payload
