package forge

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// address is where a project's pages are.
type address struct {
	base *url.URL // of the forge: scheme, host, and the path that it lives under
	repo string   // OWNER/NAME; GitLab's may have more parts
}

// parseAddress reads "https://HOST[/PREFIX]/OWNER/NAME"; how many parts of the path are the project's, the forge decides (0: all of them).
func parseAddress(s string, parts int) (address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return address{}, fmt.Errorf("address of a project: not a URL") // the error would repeat it
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return address{}, fmt.Errorf("address of a project: %.100q is not of the form https://HOST/OWNER/NAME", u.Redacted())
	}
	words := strings.Split(strings.Trim(strings.TrimSuffix(u.Path, ".git"), "/"), "/")
	if parts == 0 {
		parts = len(words)
	}
	if len(words) < max(parts, 2) || slices.ContainsFunc(words, badWord) {
		return address{}, fmt.Errorf("address of a project: %.100q names no OWNER/NAME", u.Redacted())
	}
	base := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + strings.Join(words[:len(words)-parts], "/")}
	return address{base, strings.Join(words[len(words)-parts:], "/")}, nil
}

func badWord(w string) bool {
	return w == "" || strings.Trim(w, ".") == "" || strings.ContainsAny(w, " \\?#%\x00")
}

func (a address) String() string { return a.at(a.repo).String() }

// at is a URL below the forge's own.
func (a address) at(below string) *url.URL { return a.base.JoinPath(strings.Split(below, "/")...) }

func (a address) origin() *url.URL { return &url.URL{Scheme: a.base.Scheme, Host: a.base.Host} }

func (a address) project() string { return path.Base(a.repo) }
