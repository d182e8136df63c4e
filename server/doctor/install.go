package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moult-go/moult/server/admin"
)

// headroom is what an update wants beside the download and the staged file, in bytes, and fewestNodes in files and directories.
const (
	headroom    = 16 << 20
	fewestNodes = 32
)

// replace is what the updater says of itself: of the server that runs or, without one, of this process.
func (f *facts) replace() []Finding {
	const why = "without a state directory of its own the program can neither stage a new version nor go back to an old one"
	look := "see what stands there: ls -ld " + filepath.Dir(f.StateDir) + " " + f.StateDir
	switch {
	case f.Disabled != "":
		return nil
	case f.trouble != nil:
		return one(Error, f.trouble.Error(), why, look)
	case f.updater == nil && f.Status != nil:
		return one(Error, "updating is off: "+f.Status.Updates.Reason, why, look)
	case f.updater == nil:
		return f.mayOwn()
	}
	o := f.updater.Obstacle
	if o == nil {
		return fine("%s can be replaced, and a new version be started from %s", f.InstallPath, f.StateDir)
	}
	return one(Error, o.Error, "every update would fail at it", f.clearing(o.Reason))
}

// mayOwn judges by owner and mode alone, for the user that the unit names, or else this one.
func (f *facts) mayOwn() []Finding {
	if !f.home.exists || f.home.uid < 0 {
		return nil
	}
	dir, uid, who := filepath.Dir(f.InstallPath), os.Geteuid(), "this user"
	if f.unit != nil {
		name := or(f.unit.properties["User"], "root")
		u, err := lookUp(name)
		if err != nil {
			return one(Warning, fmt.Sprintf("%s runs as %s, which this system does not know: %v", f.unit.name, name, err), "whether it may write "+dir+" is not seen", "start the server, and ask once more")
		}
		uid, who = u, name
	}
	switch {
	case uid == 0:
		return fine("root may replace %s", f.InstallPath)
	case f.state.exists && f.state.uid != uid:
		return one(Error, fmt.Sprintf("%s belongs to user %d, and %s is %d", f.StateDir, f.state.uid, who, uid), "what lies in it will be executed, so it has to be the server's own", fmt.Sprintf("chown -R %d %s", uid, f.StateDir))
	case f.home.uid != uid || f.home.mode&0o200 == 0:
		return one(Error, fmt.Sprintf("%s belongs to user %d (%v), and %s is %d", dir, f.home.uid, f.home.mode.Perm(), who, uid), "a new version can be neither staged nor put in place", fmt.Sprintf("chown -R %d %s", uid, dir))
	}
	return fine("%s may write %s", who, dir)
}

// clearing names what takes an obstacle of the updater's out of the way.
func (f *facts) clearing(reason string) string {
	dir := filepath.Dir(f.InstallPath)
	switch reason {
	case "read-only":
		if f.unit != nil {
			return f.unit.set("ReadWritePaths=" + dir)
		}
		return "mount -o remount,rw the file system of " + dir + "; in a container replace the image instead"
	case "noexec":
		if f.unit != nil && f.unit.properties["NoExecPaths"] != "" {
			return f.unit.set("ExecPaths=" + dir)
		}
		return "mount -o remount,exec the file system of " + f.StateDir + ", or choose another with --state-dir"
	case "other-file-system", "mount-point":
		if f.unit != nil {
			return f.unit.set("ReadWritePaths=" + dir + "; no line names what lies below it, which would become a mount of its own")
		}
		return "mount " + dir + " as a whole, with executable and state directory in it"
	case "immutable":
		return "chattr -i -a " + f.InstallPath + " " + dir
	case "not-writable", "owner", "sticky":
		if f.process != nil {
			return fmt.Sprintf("chown -R %d %s", f.process.uid, dir)
		}
		return "as root: chown -R USER " + dir + ", with the user that the server runs as"
	case "xattr":
		return "setcap -r " + f.InstallPath + ", and grant the capability by the service manager (AmbientCapabilities=)"
	case "replaced-by-someone-else":
		return "restart with what stands there now: " + f.App + " restart"
	}
	return ""
}

// executable looks at what makes a file special, since the next one has to become the same.
func (f *facts) executable() []Finding {
	switch {
	case f.file == nil:
		return nil
	case f.file.mode&(os.ModeSetuid|os.ModeSetgid) != 0:
		return one(Error, f.InstallPath+" is setuid or setgid", "a program with more rights than whoever starts it does not update itself",
			"chmod ug-s "+f.InstallPath+", and let a service manager give it its user and its capabilities")
	case f.file.capabilities:
		return one(Warning, f.InstallPath+" has file capabilities", "each new version needs them again, which only root and CAP_SETFCAP can give; with NoNewPrivileges they do nothing",
			"setcap -r "+f.InstallPath+", and in the unit: AmbientCapabilities=")
	}
	return fine("%s is a plain file of %d MB", f.InstallPath, f.file.size>>20)
}

// room counts the next update, and then all that is to be kept.
func (f *facts) room() []Finding {
	if f.space == nil || f.file == nil || f.Disabled != "" {
		return nil
	}
	kept := 1
	if f.updater != nil {
		kept += len(f.updater.Kept)
	}
	size := uint64(f.file.size)
	next := 2*size + headroom
	all := next + uint64(max(f.KeepVersions-kept-1, 0))*size
	found := fmt.Sprintf("%d MB are free for %s", f.space.free>>20, f.StateDir)
	switch {
	case f.space.free < next:
		return one(Error, fmt.Sprintf("%s, and the next update needs about %d MB", found, next>>20), "it would fail with a full disk", "make room there, or choose another place with --state-dir")
	case f.space.nodesLimited && f.space.nodes < fewestNodes:
		return one(Error, fmt.Sprintf("%d inodes are left for %s", f.space.nodes, f.StateDir), "an update makes some files and directories", "find the directory with most files: du --inodes -x / | sort -n | tail")
	case f.space.free < all:
		return one(Warning, fmt.Sprintf("%s, and %d versions need about %d MB", found, f.KeepVersions, all>>20), "the one after the next would fail with a full disk",
			"make room there, or keep fewer versions: --keep 2")
	}
	return fine("%s: enough for %d versions", found, f.KeepVersions)
}

// hardening judges a unit from outside, while no server runs that could look from within.
func (f *facts) hardening() []Finding {
	u := f.unit
	if u == nil || f.Status != nil || f.Disabled != "" {
		return nil
	}
	bad, dir := Error, filepath.Dir(f.InstallPath)
	if !f.Updates { // it may have no source, or one that is named where it is started
		bad = Warning
	}
	switch {
	case u.properties["RootDirectory"] != "" || u.properties["RootImage"] != "":
		return one(Warning, u.name+" has a root directory of its own", "from outside it is not seen whether the executable can be replaced in there", "start the server, and ask once more")
	case u.closes(dir):
		return one(bad, fmt.Sprintf("%s keeps %s read-only (ProtectSystem=%s)", u.name, dir, u.properties["ProtectSystem"]), "a new version can be neither staged nor put in place", u.set("ReadWritePaths="+dir))
	case u.noExec(f.StateDir):
		return one(bad, u.name+" lets nothing be executed in "+f.StateDir, "a new version is started from there", u.set("ExecPaths="+dir))
	}
	return fine("%s lets the service write and execute in %s", u.name, dir)
}

// closes reports whether dir is read-only in the unit.
func (u *unit) closes(dir string) bool {
	if covered(dir, u.words("InaccessiblePaths")) != "" {
		return true
	}
	var closed []string
	switch u.properties["ProtectSystem"] {
	case "strict":
		closed = []string{"/"}
	case "full":
		closed = []string{"/usr", "/boot", "/efi", "/etc"}
	case "yes", "true":
		closed = []string{"/usr", "/boot", "/efi"}
	}
	open := u.words("ReadWritePaths")
	for _, s := range u.words("StateDirectory") {
		open = append(open, "/var/lib/"+s)
	}
	return len(covered(dir, append(closed, u.words("ReadOnlyPaths")...))) > len(covered(dir, open))
}

func (u *unit) noExec(dir string) bool {
	return len(covered(dir, u.words("NoExecPaths"))) > len(covered(dir, u.words("ExecPaths")))
}

// covered returns the longest of the directories that dir is or lies in, "" if none.
func covered(dir string, list []string) (longest string) {
	for _, l := range list {
		l = filepath.Clean(strings.TrimLeft(l, "-+"))
		if strings.HasPrefix(dir+"/", strings.TrimSuffix(l, "/")+"/") && len(l) > len(longest) {
			longest = l
		}
	}
	return longest
}

// disk is what cannot be put right by another update.
func (f *facts) disk() []Finding {
	if f.updater == nil {
		return nil
	}
	if f.updater.Disk != "" {
		return one(Error, f.updater.Disk, "the next cold start would run it", f.App+" rollback")
	}
	if f.updater.Attempt != nil && f.Status == nil {
		a := f.updater.Attempt
		return one(Warning, fmt.Sprintf("the attempt %s, %s → %s, was interrupted (%s)", a.ID, a.From, a.To, f.updater.Phase), "it is recovered before the next one begins", "start the server, or: "+f.App+" upgrade")
	}
	return fine("the disk holds what was committed last")
}

func (f *facts) exposed() []Finding {
	if f.updater == nil || len(f.updater.Exposed) == 0 {
		return nil
	}
	list := strings.Join(f.updater.Exposed, " ")
	return one(Warning, "others may write "+list, "who can do that can put another executable there, signed by nobody", "chmod go-w "+list+", and have them belong to root or to the server's user")
}

func (f *facts) owner() []Finding {
	switch {
	case f.Disabled != "":
		return fine("this build does not update itself: %s", f.Disabled)
	case f.updater == nil || f.updater.Owner == nil:
		return nil
	}
	o := f.updater.Owner
	if !f.Updates {
		return fine("it belongs to %s, a package of %s, which updates it: %s", o.Name, o.Manager, o.Upgrade)
	}
	return one(Warning, fmt.Sprintf("it belongs to %s, a package of %s", o.Name, o.Manager), "what a package manager owns is left to it: no update of the feed is applied", o.Upgrade)
}

// maxSocketPath is what package server allows for the path of its admin socket, and idLength what it puts below a directory.
const (
	maxSocketPath = 100
	idLength      = len("/abcdef/admin.sock")
)

// socket looks at where the admin socket lies, or would.
func (f *facts) socket() []Finding {
	homes := admin.Homes(f.StateDir)
	long := len(homes[0])+idLength > maxSocketPath
	runtime := f.unit != nil && f.unit.properties["RuntimeDirectory"] != ""
	private := f.unit != nil && f.unit.yes("PrivateTmp")
	switch {
	case !long || runtime:
		return fine("the path of the admin socket is short enough")
	case private:
		return one(Error, fmt.Sprintf("the path of an admin socket in %s is longer than %d bytes, and the unit has a /tmp of its own", homes[0], maxSocketPath),
			"the socket lies where nobody finds it: upgrade and status say that no server is running", f.unit.set("RuntimeDirectory="+f.App))
	}
	return one(Warning, fmt.Sprintf("the path of an admin socket in %s is longer than %d bytes", homes[0], maxSocketPath),
		"it lies below "+os.TempDir()+" instead, where a sweeper of old files may remove it", "move the program to a shorter path, or give its service a RuntimeDirectory=")
}

func (f *facts) instances() []Finding {
	if len(f.Instances) < 2 {
		return nil
	}
	var ids, versions []string
	for _, in := range f.Instances {
		ids = append(ids, in.ID)
		if !slices.Contains(versions, in.Version) {
			versions = append(versions, in.Version)
		}
	}
	if len(versions) > 1 {
		return one(Warning, fmt.Sprintf("%d servers of this executable run different versions: %s", len(ids), strings.Join(versions, ", ")),
			"one updates the executable and the others follow; one of them did not", f.App+" status --instance ID says why, for "+strings.Join(ids, ", "))
	}
	return fine("%d servers run of this executable (%s): one updates it, the others follow", len(ids), strings.Join(ids, ", "))
}
