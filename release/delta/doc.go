// Package delta makes a new executable from an old one and the little that differs. [Encode] is the publisher's and takes the memory it
// needs; [Decode] is the host's: it streams, holds a few MB whatever the patch says, and trusts nothing but the [Limits] that signed
// metadata gave.
//
// # What it promises
//
//   - The base is known by its digest, not by a version: another one is [ErrWrongBase] before a byte is written.
//   - The result is known by its digest: what differs is [ErrDigest], and nothing is good before Decode returned nil.
//   - The header must agree with the limits before anything is allocated. Every length is checked against what there is room for.
//   - The same two files give the same patch, whatever machine makes it.
//
// Whoever gets any error takes the full file instead. [Patcher] and [BSDiff40] have the shape that minio/selfupdate wants; the latter reads the
// files of Colin Percival's bsdiff 4.
//
// # The container
//
// Integers of a fixed size are little-endian. A number is an unsigned varint as encoding/binary has it, a signed one is zigzag.
//
//	offset  bytes
//	     0      8  89 6d 6f 75 6c 74 ce 94
//	     8      1  format version, 1
//	     9      1  transform: 0 none; 1 and 2 are reserved for Go on amd64 and arm64
//	    10      2  zero
//	    12      8  size of the old file
//	    20     32  its sha256
//	    52      8  size of the new file
//	    60     32  its sha256
//	    92         what the transform needs (none: nothing), then frames until they made the new file, and nothing after them
//
// A transform predicts an image of the new file from the old one; all that follows is relative to that image. With transform 0 the image is the
// old file itself.
//
// A frame is
//
//	number          bytes of the new file that it makes, at least 1
//	for each of five columns:
//	    number      its length
//	    number      its length compressed, only if it is not empty
//	the columns that are not empty, each a zstd frame of its own (RFC 8878)
//
// The lengths are at most 4 MiB in all, both before and after compression, and before it also at most 32 for each byte that the frame makes. So a
// decoder holds two times 4 MiB, and a small patch cannot keep it busy for long. The columns are
//
//	0 steps    for each step: signed seek, number add, number extra. Go seek bytes on in the image from where the last step ended (the
//	           first one from 0), take add bytes with their fixes, then extra bytes of column 4. A step makes at least one byte.
//	1 gaps     for each fix: number of bytes added since the last fix of this frame ended
//	2 known    for each fix: one byte, the place of its difference among the recent ones, or 255
//	3 differs  for each 255 of column 2: the difference, signed
//	4 extra    bytes
//
// A fix takes four bytes of the image, fewer at the end of what a step adds, as a little-endian integer and adds the difference to it. The
// recent differences are at most 255, none at the beginning of the patch; one that is used moves to the front, a new one is put there.
// That is because a linker that moves a function changes all addresses that lead over it, each of four bytes, and by the same amount.
//
// A frame uses up its columns to the last byte. Place in the image and recent differences go on from frame to frame; all else begins anew.
package delta
