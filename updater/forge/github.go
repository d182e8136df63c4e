package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
)

// GitHub returns the source that reads the releases of a repository: "OWNER/NAME" on github.com, or the address of one on a GitHub
// Enterprise Server, "https://HOST/OWNER/NAME".
func GitHub(repository string, o Options) updater.Source {
	if !strings.Contains(repository, "://") {
		repository = "https://github.com/" + repository
	}
	a, err := parseAddress(repository, 2)
	return newSource(&github{address: a, token: o.TokenFile != "" || o.TokenEnv != ""}, o, err)
}

type github struct {
	address
	token bool
}

func (g *github) String() string {
	if g.base == nil {
		return "GitHub"
	}
	return "GitHub " + strings.TrimPrefix(g.address.String(), "https://github.com/")
}

// api is https://api.github.com, or /api/v3 on a server of one's own.
func (g *github) api() *url.URL {
	if strings.EqualFold(g.base.Host, "github.com") {
		return &url.URL{Scheme: "https", Host: "api.github.com"}
	}
	return g.at("api/v3")
}

func (g *github) origin() *url.URL {
	u := g.api()
	return &url.URL{Scheme: u.Scheme, Host: u.Host}
}

func (g *github) list() string {
	return g.api().JoinPath("repos", g.repo, "releases").String() + "?per_page=30"
}

func (g *github) next(f transfer.File) string { return nextLink(f.Header) }

func (g *github) authorize(r *http.Request, token string) {
	r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	r.Header.Set("Accept", "application/vnd.github+json")
	if strings.Contains(r.URL.Path, "/releases/assets/") { // the file, and not what the API knows of it
		r.Header.Set("Accept", "application/octet-stream")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// listed is what GitHub, Gitea and Forgejo have in common.
type listed struct {
	TagName    string `json:"tag_name"`
	Body       string `json:"body"`
	Draft      bool   `json:"draft"`
	Prerelease bool   `json:"prerelease"`
	Assets     []struct {
		Name     string `json:"name"`
		Size     int64  `json:"size"`
		State    string `json:"state"`  // GitHub: "uploaded" when it is whole
		Digest   string `json:"digest"` // GitHub, since 2025: "sha256:HEX"
		API      string `json:"url"`
		Download string `json:"browser_download_url"`
	} `json:"assets"`
}

// parse reads a page. Who has a token asks the API for the files, since the web pages of private projects do not take it.
func (g *github) parse(page []byte) ([]published, error) {
	return parseListed(page, g.token)
}

func parseListed(page []byte, byAPI bool) (found []published, err error) {
	var list []listed
	if err := json.Unmarshal(page, &list); err != nil {
		return nil, fmt.Errorf("read the list of releases: %w", err)
	}
	for _, r := range list {
		p := published{tag: r.TagName, notes: notes(r.Body), prerelease: r.Prerelease, hidden: r.Draft}
		for _, a := range r.Assets {
			f := assets.File{Name: a.Name, Path: a.Download, Length: max(a.Size, 0)}
			if byAPI && a.API != "" {
				f.Path = a.API
			}
			if hex, ok := strings.CutPrefix(a.Digest, "sha256:"); ok {
				if f.Digest, err = release.ParseDigest(hex); err != nil {
					return nil, fmt.Errorf("read the list of releases: %w", err)
				}
			}
			if a.State == "" || a.State == "uploaded" {
				p.files = append(p.files, f)
			}
		}
		found = append(found, p)
	}
	return found, nil
}

// maxNotes is how much of a release's text is kept, in bytes.
const maxNotes = 4 << 10

func notes(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxNotes)], "") }
