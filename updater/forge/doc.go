// Package forge takes updates from the releases of a forge - GitHub, GitLab, Gitea or Forgejo - as goreleaser and others leave them there: an archive or
// an executable for each platform, a file of checksums, and minisign signatures.
//
//	Source: forge.GitHub("moult-go/hello", forge.Options{MinisignKey: key}),
//
// Which of the files is taken, and why it is trusted, is in package updater/assets. The forge itself is not trusted: it may be down, lie, or
// have been broken into. What it can do is withhold a newer release; docs/howto/sources.md says what protects from what.
//
// # What a check costs
//
// One request while nothing is new. Where the forge gives its answers an ETag (GitHub does), the request is conditional; the tags lie in the
// state directory. GitHub allows 60 requests an hour to an address without a token, and counts conditional ones too; so without a token its web pages are
// asked first, which do not count: where releases/latest leads to, and the files under that release. The API is asked only for other channels
// than stable, or if there is no file of checksums under a name that goreleaser gives it. A limit that was met is a temporary failure,
// and the next check waits for as long as the forge says.
//
// # Tokens
//
// For private projects, or higher limits. A token is read from a file or an environment variable that Options names, each time it is needed; it is in no
// error, log or argument, and goes to the API's own scheme, host and port and nowhere else: not to storage that a download is redirected to, not to
// evilgithub.com, not over plain http to another machine.
//
// # Releases
//
// Versions are those of the tags (v1.4.0, 1.4.0); tags that are no semantic version, drafts, and upcoming releases are passed over. The
// channel "stable" takes no pre-releases, whether the forge or the version calls them so; another channel takes those that have its name in their version
// (1.5.0-beta.2), and stable ones. The order is that of the versions, never that of the list.
package forge
