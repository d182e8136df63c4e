package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
)

// GitLab returns the source that reads the releases of a project at "https://HOST/GROUP/NAME", where a group may have groups of its
// own. The server lives at the root of its host.
func GitLab(address string, o Options) updater.Source {
	a, err := parseAddress(address, 0)
	return newSource(&gitlab{a}, o, err)
}

type gitlab struct{ address }

func (g *gitlab) String() string {
	if g.base == nil {
		return "GitLab"
	}
	return "GitLab " + g.address.String()
}

func (g *gitlab) list() string {
	return g.origin().String() + "/api/v4/projects/" + url.PathEscape(g.repo) + "/releases?order_by=released_at&sort=desc&per_page=30"
}

// next is made of the number in a header of GitLab's own.
func (g *gitlab) next(f transfer.File) string {
	n, err := strconv.Atoi(f.Header.Get("X-Next-Page"))
	if err != nil || n <= 1 {
		return ""
	}
	return g.list() + "&page=" + strconv.Itoa(n)
}

func (g *gitlab) authorize(r *http.Request, token string) {
	if token != "" {
		r.Header.Set("PRIVATE-TOKEN", token)
	}
}

// parse reads a page. GitLab says neither length nor digest of a file.
func (g *gitlab) parse(page []byte) (found []published, err error) {
	var list []struct {
		TagName     string `json:"tag_name"`
		Description string `json:"description"`
		Upcoming    bool   `json:"upcoming_release"`
		Assets      struct {
			Links []struct {
				Name   string `json:"name"`
				URL    string `json:"url"`
				Direct string `json:"direct_asset_url"`
			} `json:"links"`
		} `json:"assets"`
	}
	if err := json.Unmarshal(page, &list); err != nil {
		return nil, fmt.Errorf("read the list of releases: %w", err)
	}
	for _, r := range list {
		p := published{tag: r.TagName, notes: notes(r.Description), hidden: r.Upcoming}
		for _, l := range r.Assets.Links {
			p.files = append(p.files, assets.File{Name: l.Name, Path: g.place(l.URL, l.Direct)})
		}
		found = append(found, p)
	}
	return found, nil
}

// place is where a file is read: the API takes a token (the package registry lies there), a release's web page does not.
func (g *gitlab) place(link, direct string) string {
	if u, err := url.Parse(link); direct == "" || err == nil && sameOrigin(link, g.origin()) && strings.HasPrefix(u.Path, "/api/v4/") {
		return link
	}
	return direct
}
