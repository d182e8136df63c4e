package forge

import (
	"net/http"
	"strings"

	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
)

// Gitea returns the source that reads the releases of a repository of Gitea or Forgejo, at "https://HOST/OWNER/NAME". A server below a
// path, "https://HOST/PREFIX/OWNER/NAME", will do.
func Gitea(address string, o Options) updater.Source {
	a, err := parseAddress(address, 2)
	return newSource(&gitea{a}, o, err)
}

// gitea answers with GitHub's fields, but for digests, and gives no ETag to rely on.
type gitea struct{ address }

func (g *gitea) String() string {
	if g.base == nil {
		return "Gitea"
	}
	return "Gitea " + g.address.String()
}

func (g *gitea) list() string {
	return g.at("api/v1/repos/"+g.repo+"/releases").String() + "?draft=false&limit=30"
}

func (g *gitea) next(f transfer.File) string { return nextLink(f.Header) }

func (g *gitea) authorize(r *http.Request, token string) {
	if token != "" {
		r.Header.Set("Authorization", "token "+token)
	}
}

func (g *gitea) parse(page []byte) ([]published, error) { return parseListed(page, false) }

// nextLink reads the header Link (RFC 8288), as forges write it: <URL>; rel="next".
func nextLink(h http.Header) string {
	for link := range strings.SplitSeq(strings.Join(h.Values("Link"), ","), ",") {
		address, params, _ := strings.Cut(link, ";")
		address = strings.TrimSpace(address)
		if strings.Contains(params, `rel="next"`) && strings.HasPrefix(address, "<") && strings.HasSuffix(address, ">") {
			return address[1 : len(address)-1]
		}
	}
	return ""
}
