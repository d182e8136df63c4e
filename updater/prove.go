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

// prove shows that the staged executable is one of ours, for this platform, and that it starts: the
// last moment at which a bad build costs nothing.
func (u *Updater) prove(ctx context.Context, b build, p release.Platform, path string) (proof string, err error) {
	f, err := inspect(path)
	if err == nil {
		err = u.judge(f, p)
	}
	if err != nil {
		return "", asError(ctx, fmt.Errorf("prove version %s: %w", b.Version, err), Failed, "io")
	}
	if !f.answers || !hasRoles {
		return proofHeaders, nil
	}
	u.step("prove")
	ctx2, cancel := context.WithTimeout(ctx, u.o.ProofTimeout)
	defer cancel()
	answer, err := runRole(ctx2, path, role.Proof, nil, role.MaxReport)
	if err != nil {
		return "", asError(ctx, fmt.Errorf("prove version %s: start it: %w", b.Version, err), Failed, "proof-failed")
	}
	report, err := role.ParseReport(answer)
	if err != nil {
		return "", fail(Failed, "proof-failed", "prove version %s: %w", b.Version, err)
	}
	if err := u.compare(report, b, p); err != nil {
		return "", asError(ctx, fmt.Errorf("prove version %s: %w", b.Version, err), Failed, "proof-failed")
	}
	return proofReport, nil
}

// judge compares what the file says with the platform and with our own module.
func (u *Updater) judge(f facts, p release.Platform) error {
	said := f.platform
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
	if u.module != "" && f.module != u.module {
		return fail(Verification, "wrong-module", "its main module is %q, ours is %q", f.module, u.module)
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

// compare holds the candidate's own report against what was signed for it.
func (u *Updater) compare(r role.Report, b build, p release.Platform) error {
	if r.Name != "" && r.Name != u.o.Name {
		return fail(Verification, "wrong-app", "it says that it is %.80q, and this is %q", r.Name, u.o.Name)
	}
	if !sameVersion(r.Version, b.Version) {
		return fail(Verification, "wrong-version", "it says that it is version %.80q", r.Version)
	}
	got, err := release.ParsePlatform(r.Platform)
	if err != nil || got.OS != p.OS || got.Arch != p.Arch {
		return fail(Policy, "wrong-platform", "it says that it runs on %.80q, and not on %s", r.Platform, p)
	}
	if u.module != "" && r.Module != u.module {
		return fail(Verification, "wrong-module", "it says that its module is %.200q, ours is %q", r.Module, u.module)
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
