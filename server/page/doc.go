// Package page is the status page of a server: what serves now, how far an upgrade is, which generations drain, what was tried before and why it failed,
// by whose keys releases are trusted, and what the server was configured with. Package server mounts it; nobody else has to.
//
// One document rendered by html/template, one style sheet, one script, one mark: all of it compiled in, and nothing is asked of any other host. The page works
// without its script, which only makes it live: it follows a stream of Server-Sent Events, each the whole content rendered anew, and changes in
// place what is different. At a handover the stream ends, and the browser finds the successor at the same address: the page hops without a reload.
//
// # Who sees what
//
// Place decides. On the admin socket (Socket), where only the server's own user gets through, all is shown and the buttons are there: a
// browser comes by a tunnel, as ssh -L 8081:/opt/hello/.hello.d/instances/ID/admin.sock. On a listener for operators (Ops) all is shown to
// whoever reaches it; the buttons take the token of a file, typed into a form. On a listener for everybody (Public) there are no buttons, and what is no
// stranger's business is withheld: process IDs, addresses and paths, the source and its keys, the configuration, reasons of a hold, who asked, texts of
// errors and last words. Versions, states, connections, outcomes and their short reasons remain.
//
// # What it refuses
//
// Buttons are POST only, and each asks once more. At Ops and on a Socket a request whose Host is no address, no name of localhost and none of Options.Hosts is refused, against
// names that are made to lead here (DNS rebinding); one that changes something has to come from the page itself, by
// http.CrossOriginProtection. The token is never part of an address. A session is a cookie for eight hours (HttpOnly, SameSite=Strict, Secure over TLS) with a MAC
// under the token: every generation accepts it, and a new token ends all of them. Over plain HTTP whoever can read the network can
// take both, as with any password: use TLS, or stay on loopback.
//
// What a failed build said before it died is hostile. Control characters, those that turn the direction of writing and those without width are taken out of everything that leaves
// this package, texts are cut, and the policy of the page lets no script run but its own file.
package page
