package updater

import (
	"context"
	"errors"
	"fmt"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

// What Attempt.Proof says.
const (
	proofReport  = "report"
	proofHeaders = "headers only"
)

// claim is what an executable must show that it is.
type claim struct {
	what     string // for errors: "version 1.2.0"
	version  string // "" for any
	platform release.Platform
	module   string // "" for any
}

// ProveInstalled shows that what stands at the install path starts. It verifies nothing: HUP trusts whoever may write there.
func (u *Updater) ProveInstalled(ctx context.Context) error {
	u.trying()
	_, err := u.prove(ctx, claim{what: u.path, platform: release.Host()}, u.path)
	return err
}

// prove shows that an executable is what it is said to be, and that it starts: the last moment at which a bad
// build costs nothing.
func (u *Updater) prove(ctx context.Context, c claim, path string) (proof string, err error) {
	f, err := inspect(path)
	if err == nil {
		err = c.judge(f)
	}
	if err != nil {
		return "", asError(ctx, fmt.Errorf("prove %s: %w", c.what, err), Failed, "io")
	}
	if !f.answers || !hasRoles {
		return proofHeaders, nil
	}
	u.step("prove")
	report, err := ask(ctx, path, u.o.ProofTimeout)
	if err != nil {
		return "", asError(ctx, fmt.Errorf("prove %s: %w", c.what, err), Failed, "proof-failed")
	}
	if err := c.compare(report, u.o.Name); err != nil {
		return "", asError(ctx, fmt.Errorf("prove %s: %w", c.what, err), Failed, "proof-failed")
	}
	return proofReport, nil
}

// judge compares what the file says of itself without being run.
func (c claim) judge(f facts) error {
	said, p := f.platform, c.platform
	if said.Arch == "" {
		said.Arch = f.arch
	}
	if said.OS == "" {
		said.OS = p.OS
	}
	if said.OS != p.OS || said.Arch != p.Arch || f.format != formatOf(p.OS) {
		return fail(Policy, "wrong-platform", "the executable is %s for %s, and not for %s", f.format, said, p)
	}
	if f.arch != "" && f.arch != p.Arch {
		return fail(Verification, "wrong-format", "its header says %s and its build information %s", f.arch, p.Arch)
	}
	if c.module != "" && f.module != c.module {
		return fail(Verification, "wrong-module", "its main module is %q, ours is %q", f.module, c.module)
	}
	return nil
}

func formatOf(os string) string {
	switch os {
	case "windows":
		return "PE"
	case "darwin", "ios":
		return "Mach-O"
	}
	return "ELF"
}

// compare holds the executable's own report against the claim and our name.
func (c claim) compare(r role.Report, name string) error {
	p := c.platform
	if r.Name != "" && r.Name != name {
		return fail(Verification, "wrong-app", "it says that it is %.80q, and this is %q", r.Name, name)
	}
	if c.version != "" && !sameVersion(r.Version, c.version) {
		return fail(Verification, "wrong-version", "it says that it is version %.80q", r.Version)
	}
	got, err := release.ParsePlatform(r.Platform)
	if err != nil || got.OS != p.OS || got.Arch != p.Arch {
		return fail(Policy, "wrong-platform", "it says that it runs on %.80q, and not on %s", r.Platform, p)
	}
	if c.module != "" && r.Module != c.module {
		return fail(Verification, "wrong-module", "it says that its module is %.200q, ours is %q", r.Module, c.module)
	}
	return nil
}

func sameVersion(a, b string) bool {
	v, err1 := release.ParseVersion(a)
	w, err2 := release.ParseVersion(b)
	if errors.Join(err1, err2) != nil {
		return a == b
	}
	return v.Compare(w) == 0
}
