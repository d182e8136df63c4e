// Package static serves the files of a directory over HTTP, and nothing beside it.
//
//	files, err := static.Open(static.Options{Dir: "/srv/www", List: true})
//	http.Handle("/", files)
//
// # What a request finds
//
// A path is the name of a regular file below the directory; one that ends in a slash is the index.html there.
// Names that begin with a dot do not exist, but for /.well-known. Every file is opened through an os.Root: neither "..", in any disguise, nor a
// symbolic link leads outside, and what is no regular file is not there. Where there is nothing, the answer is 404 with the directory's own
// 404.html, if it has one.
//
// # Validators and ranges
//
// Each file has an ETag made of inode, size and modification time: strong, but for a file so young that a second write would not show in
// its time. Conditional requests and ranges, several in one request too, are those of http.ServeContent.
//
// # Compressed siblings
//
// Nothing is compressed while a client waits. If app.js has siblings app.js.zst, app.js.br or app.js.gz, that which the client's Accept-Encoding
// ranks highest is sent in its place, with an ETag of its own, the type of the original and Vary. Ranges are then ranges of the compressed bytes.
// A sibling that is older than its original is ignored. One that appears or goes is noticed within a second.
//
// # Speed
//
// A file is opened once, looked at through its descriptor, and sent by sendfile where the system has it.
package static
