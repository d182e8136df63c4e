package updater

import (
	"context"
	"fmt"

	"github.com/moult-go/moult/updater/owner"
)

// ownership is which package owns the file that stands at the install path.
type ownership struct {
	of  identity       // the file that was asked for
	pkg *owner.Package // nil: nobody's
}

// findPackage is owner.Find, once for each file that stands at the install path. A package manager that does not answer is taken not to own it: better an
// update too many than none for ever.
func (u *Updater) findPackage(ctx context.Context) {
	if u.o.IgnorePackageManager {
		return
	}
	u.asking.Lock()
	defer u.asking.Unlock()
	id, err := identifyFile(u.path)
	u.mu.Lock()
	known := u.owned.of == id
	u.mu.Unlock()
	if err != nil || known {
		return
	}
	p, err := u.askOwner(ctx, u.path)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		u.log.Warn("a package manager does not say whether it owns this program", "path", u.path, "err", err)
	}
	if p != nil {
		u.log.Info("this program belongs to a package", "path", u.path, "package", p.Name, "manager", p.Manager, "upgrade", p.Upgrade)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.owned = ownership{id, p}
}

// packageOwned is the stop of a program that a package manager has to update.
func packageOwned(what string, p *owner.Package) *Error {
	return &Error{Permission, "package-owned", &advice{
		fmt.Errorf("%s: it belongs to %s, a package of %s, which is to update it: %s", what, p.Name, p.Manager, p.Upgrade), "to update it: " + p.Upgrade}}
}

// PackageOwned returns an *Error of class Permission that names what to type if a package manager owns the executable at path, for those who
// have no Updater: where one is owned, there is often no place for a state directory. Else it returns nil.
func PackageOwned(ctx context.Context, path string) error {
	p, err := owner.Find(ctx, path)
	if err != nil || p == nil {
		return nil
	}
	return packageOwned("update "+path, p)
}
