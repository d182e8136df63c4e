// Package owner finds out which package manager installed a file. What a package manager owns is not ours to replace: it would notice at
// its next upgrade, or worse, not notice.
//
//	p, err := owner.Find(ctx, "/usr/bin/hello")
//	if p != nil {
//		fmt.Printf("%s belongs to %s, a package of %s: %s\n", "/usr/bin/hello", p.Name, p.Manager, p.Upgrade)
//	}
//
// dpkg, rpm, apk and pacman are asked, each where it is installed: one process, found on PATH, with a clean environment, no shell, no terminal, a
// deadline and a bound on what it may say. Homebrew, Nix, snap and flatpak keep files in places of their own, with the package's name
// in the path; there nothing is run.
//
// The question takes a tenth of a second or so on a quiet machine, and seconds on a busy one: ask once, and never while somebody waits for a start.
package owner
