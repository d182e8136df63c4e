package owner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// Package is what owns a file.
type Package struct {
	Manager string `json:"manager"` // "dpkg", "rpm", "apk", "pacman", "Homebrew", "Nix", "snap" or "flatpak"
	Name    string `json:"name"`
	Upgrade string `json:"upgrade"` // what a person types to bring it up to date
}

// patience bounds the whole question.
const patience = 10 * time.Second

// Find returns the package that owns the file at path, nil if there is none. The path is absolute and names the file itself, no link to it. An
// error means that a package manager is here and did not answer; the others were asked all the same.
func Find(ctx context.Context, path string) (*Package, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("find the package of %s: not an absolute path", path)
	}
	if p := byPlace(path); p != nil {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var errs []error
	for _, d := range databases {
		name, err := d.ask(ctx, path)
		if err != nil {
			errs = append(errs, fmt.Errorf("ask %s: %w", d.program, err))
		}
		if name != "" {
			return &Package{d.manager, name, d.upgrade(name)}, nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("find the package of %s: %w", path, err)
	}
	return nil, nil
}

// nameSyntax is that of a package: it ends up in a command that a person types.
var nameSyntax = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@._+-]{0,199}$`)
