// Package archive takes one executable out of an archive, as goreleaser and others make them for the releases of a forge. Who imports
// it can decode these formats: it registers them with package release, as image formats are registered.
//
//	tar.gz   a tar archive, compressed by gzip
//	tar      the same, not compressed
//	zip      a zip archive, members stored or deflated
//	gz       the executable alone, whatever it is called
//
// An archive is verified as a file before it is unpacked. In it one regular file must have the name that is asked for, in
// whatever directory ("hello" of hello_1.4.0_linux_amd64/hello), and only one: its bytes are what comes out. Nothing of an archive
// is ever written to a path that it names; that a member names one outside, or is a link under the executable's name, is an error
// all the same, since no honest archive does. How much may come out is bounded by release.Decoding.Most, however much an archive
// says that there is: all that is in it may not be more than a MB and 64 times its size, and it may not have too many members.
//
// Package release knows what is signed: mostly the archive alone, so that the digest of the executable is learned here
// (release.Decoding.Learned).
package archive
