package owner

import (
	"os"
	"path/filepath"
	"regexp"
)

// places are the package managers that keep each package in a directory of its own.
var places = []struct {
	manager string
	path    *regexp.Regexp // what it finds is the directory, with the name of the package
	proof   string         // a file that must be there; "": the place is proof enough
	upgrade string         // goes before the name
}{
	{"Homebrew", regexp.MustCompile(`^.*/Cellar/([^/]+)/[^/]+/`), "INSTALL_RECEIPT.json", "brew upgrade "},
	{"Homebrew", regexp.MustCompile(`^.*/Caskroom/([^/]+)/`), ".metadata", "brew upgrade --cask "},
	{"Nix", regexp.MustCompile(`^/nix/store/[0-9a-z]{32}-([^/]+?)(?:-[0-9][^/]*)?/`), "", "nix profile upgrade "},
	{"snap", regexp.MustCompile(`^(?:/var/lib/snapd)?/snap/([^/]+)/[^/]+/`), "", "snap refresh "},
	{"flatpak", regexp.MustCompile(`^.*/flatpak/app/([^/]+)/[^/]+/[^/]+/[^/]+/files/`), "", "flatpak update "},
}

// byPlace recognises a file by where it is.
func byPlace(path string) *Package {
	path = filepath.ToSlash(path)
	for _, p := range places {
		m := p.path.FindStringSubmatch(path)
		if m == nil || !nameSyntax.MatchString(m[1]) {
			continue
		}
		if p.proof != "" {
			if _, err := os.Lstat(m[0] + p.proof); err != nil {
				continue
			}
		}
		return &Package{p.manager, m[1], p.upgrade + m[1]}
	}
	return nil
}
