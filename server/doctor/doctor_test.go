package doctor

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/owner"
)

// well is a host on which everything is as it should be, with a server that runs under systemd.
func well() *facts {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	u := &updater.Status{Automatic: true, LastCheck: now}
	f := &facts{
		Options: Options{App: "hello", Version: "1.0.0", InstallPath: "/opt/hello/hello", StateDir: "/opt/hello/.hello.d", Updates: true,
			Status:       &admin.Status{App: "hello", Version: "1.0.0", Instance: "abc123", PID: 70, State: "serving", Listen: []string{"[::]:8080"}, Updates: admin.Updates{On: true}, Updater: u},
			DrainTimeout: time.Minute, StartTimeout: time.Minute, HealthInterval: time.Second, KeepVersions: 4},
		now:     now,
		updater: u,
		file:    &file{size: 20 << 20, mode: 0o755},
		home:    owned{true, 998, os.ModeDir | 0o755},
		state:   owned{true, 998, os.ModeDir | 0o700},
		space:   &space{free: 1 << 30, nodes: 1000, nodesLimited: true},
		process: &process{pid: 70, parent: 1, name: "hello", inner: 70, uid: 998, rss: 50 << 20, threads: 10, open: 20, files: 65536},
		above:   &process{pid: 1, name: "systemd"},
		limits:  limits{memoryMax: 512 << 20, memoryHigh: 400 << 20, tasks: 10, tasksMax: 100},
		expiries: []updater.Expiry{
			{Role: "timestamp", Expires: now.AddDate(0, 0, 7)}, {Role: "snapshot", Expires: now.AddDate(0, 0, 30)}, {Role: "targets", Expires: now.AddDate(0, 0, 180)},
		},
	}
	f.unit = &unit{name: "hello.service", properties: parseProperties(`Type=notify
NotifyAccess=all
KillMode=mixed
OOMPolicy=continue
Restart=on-failure
ExecStop={ path=/bin/sh ; argv[]=/bin/sh -c kill }
TimeoutStopUSec=1min 30s
TimeoutStartUSec=1min 30s
WatchdogUSec=30s
User=root
ProtectSystem=strict
ReadWritePaths=/opt/hello
PrivateTmp=yes
PrivatePIDs=no
SystemCallFilter=` + strings.Join(needed, " ") + ` read write
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
`)}
	return f
}

// without takes the server away.
func (f *facts) without() {
	f.Status, f.process, f.above, f.updater, f.limits = nil, nil, nil, nil, limits{}
}

func TestAllIsWell(t *testing.T) {
	r := diagnose(well())
	for _, f := range r.Findings {
		if f.Severity != OK || f.Found == "" || f.Why != "" || f.Mend != "" {
			t.Errorf("%+v", f)
		}
	}
	if r.Instance != "abc123" || r.PID != 70 || r.Unit != "hello.service" || len(r.Findings) < 20 {
		t.Errorf("%+v", r)
	}
}

func TestChecks(t *testing.T) {
	set := func(property, value string) func(*facts) {
		return func(f *facts) { f.unit.properties[property] = value }
	}
	obstacle := func(reason string) func(*facts) {
		return func(f *facts) { f.updater.Obstacle = &updater.Obstacle{Reason: reason, Error: "it cannot: " + reason} }
	}
	cold := func(change func(*facts)) func(*facts) {
		return func(f *facts) { f.without(); change(f) }
	}
	tests := []struct {
		name     string
		change   func(*facts)
		check    string
		severity Severity
		says     string // in what was found or in what mends it
	}{
		{"read-only", obstacle("read-only"), "replace", Error, "systemctl edit hello.service: [Service] ReadWritePaths=/opt/hello"},
		{"read-only, no unit", func(f *facts) { obstacle("read-only")(f); f.unit = nil }, "replace", Error, "mount -o remount,rw"},
		{"noexec", obstacle("noexec"), "replace", Error, "mount -o remount,exec"},
		{"noexec by the unit", func(f *facts) { obstacle("noexec")(f); set("NoExecPaths", "/")(f) }, "replace", Error, "ExecPaths=/opt/hello"},
		{"not writable", obstacle("not-writable"), "replace", Error, "chown -R 998 /opt/hello"},
		{"mounted", obstacle("mount-point"), "replace", Error, "no line names what lies below it"},
		{"on two mounts, no unit", func(f *facts) { obstacle("other-file-system")(f); f.unit = nil }, "replace", Error, "mount /opt/hello as a whole"},
		{"immutable", obstacle("immutable"), "replace", Error, "chattr -i"},
		{"replaced", obstacle("replaced-by-someone-else"), "replace", Error, "hello restart"},
		{"xattr", obstacle("xattr"), "replace", Error, "setcap -r /opt/hello/hello"},
		{"no updater", func(f *facts) { f.updater, f.Status.Updater = nil, nil; f.Status.Updates.Reason = "mode 0777" }, "replace", Error, "mode 0777"},
		{"no state directory", cold(func(f *facts) { f.trouble = errors.New("make the state directory: no") }), "replace", Error, "ls -ld /opt/hello"},
		{"another's directory", cold(func(f *facts) { set("User", "65534")(f) }), "replace", Error, "chown -R 65534 /opt/hello/.hello.d"},
		{"another's home", cold(func(f *facts) { set("User", "65534")(f); f.state = owned{} }), "replace", Error, "chown -R 65534 /opt/hello"},
		{"a user of nowhere", cold(func(f *facts) { set("User", "no-such-user")(f) }), "replace", Warning, "does not know"},
		{"root's own", cold(func(*facts) {}), "replace", OK, "root may replace"},
		{"setuid", func(f *facts) { f.file.mode |= os.ModeSetuid }, "executable", Error, "chmod ug-s"},
		{"capabilities", func(f *facts) { f.file.capabilities = true }, "executable", Warning, "AmbientCapabilities"},
		{"full", func(f *facts) { f.space.free = 30 << 20 }, "room", Error, "needs about 56 MB"},
		{"nearly full", func(f *facts) { f.space.free = 70 << 20 }, "room", Warning, "--keep 2"},
		{"no inodes", func(f *facts) { f.space.nodes = 3 }, "room", Error, "3 inodes"},
		{"no inodes to count", func(f *facts) { f.space.nodes, f.space.nodesLimited = 0, false }, "room", OK, ""},
		{"strict", cold(set("ReadWritePaths", "")), "hardening", Error, "ReadWritePaths=/opt/hello"},
		{"strict, another path", cold(set("ReadWritePaths", "/opt/hello2 -/opt/hell")), "hardening", Error, "ProtectSystem=strict"},
		{"strict, above", cold(set("ReadWritePaths", "/srv -/opt")), "hardening", OK, ""},
		{"read-only below", cold(func(f *facts) { set("ReadWritePaths", "/opt")(f); set("ReadOnlyPaths", "/opt/hello/")(f) }), "hardening", Error, ""},
		{"in a state directory", cold(func(f *facts) {
			f.InstallPath, f.StateDir = "/var/lib/hello/hello", "/var/lib/hello/.hello.d"
			set("StateDirectory", "hello")(f)
		}), "hardening", OK, ""},
		{"full protection", cold(func(f *facts) { set("ProtectSystem", "full")(f); f.InstallPath = "/usr/bin/hello" }), "hardening", Error, "/usr/bin"},
		{"full protection, elsewhere", cold(func(f *facts) { set("ProtectSystem", "full")(f); set("ReadWritePaths", "")(f) }), "hardening", OK, ""},
		{"no exec", cold(func(f *facts) { set("NoExecPaths", "/")(f); set("ExecPaths", "/opt/hello/hello /usr")(f) }), "hardening", Error, "ExecPaths=/opt/hello"},
		{"a root of its own", cold(set("RootDirectory", "/srv/root")), "hardening", Warning, ""},
		{"strict, no source known", cold(func(f *facts) { f.Updates = false; set("ReadWritePaths", "")(f) }), "hardening", Warning, "ReadWritePaths=/opt/hello"},
		{"strict, no updates", cold(func(f *facts) { f.Disabled = "use apt"; set("ReadWritePaths", "")(f) }), "hardening", OK, "absent"},
		{"seccomp", set("SystemCallFilter", "read write execve:EPERM"), "seccomp", Error, "clone socketpair"},
		{"seccomp denies", set("SystemCallFilter", "~linkat:38 reboot"), "seccomp", Error, "keeps linkat from"},
		{"seccomp denies others", set("SystemCallFilter", "~reboot mount"), "seccomp", OK, ""},
		{"families", set("RestrictAddressFamilies", "AF_INET"), "address-families", Error, "AF_UNIX"},
		{"families denied", set("RestrictAddressFamilies", "~AF_UNIX"), "address-families", Error, "AF_UNIX"},
		{"simple", set("Type", "simple"), "unit-type", Error, "Type=notify"},
		{"forking", set("Type", "forking"), "unit-type", Error, "Type=notify"},
		{"notify-reload", set("Type", "notify-reload"), "unit-type", OK, ""},
		{"access main", set("NotifyAccess", "main"), "notify-access", Warning, "NotifyAccess=all"},
		{"access none", set("NotifyAccess", "none"), "notify-access", Error, "NotifyAccess=all"},
		{"kill process", set("KillMode", "process"), "kill-mode", Warning, "KillMode=mixed"},
		{"kill group", set("KillMode", "control-group"), "kill-mode", OK, ""},
		{"oom stops", set("OOMPolicy", "stop"), "oom-policy", Warning, "OOMPolicy=continue"},
		{"no ExecStop", set("ExecStop", ""), "stop", Warning, "ExecStop=/bin/sh"},
		{"no deadline", func(f *facts) { f.DrainTimeout = -1 }, "stop", Warning, "TimeoutStopSec=infinity"},
		{"short stop", func(f *facts) { set("Type", "simple")(f); set("TimeoutStopUSec", "10s")(f) }, "stop", Warning, "TimeoutStopSec=90"},
		{"short stop, and it asks", set("TimeoutStopUSec", "10s"), "stop", OK, "asks for the rest"},
		{"short start", set("TimeoutStartUSec", "10s"), "start-timeout", Warning, "TimeoutStartSec=90"},
		{"no start limit", set("TimeoutStartUSec", "infinity"), "start-timeout", OK, ""},
		{"no restart", set("Restart", "no"), "restart", Warning, "Restart=on-failure"},
		{"quick watchdog", set("WatchdogUSec", "1s"), "watchdog", Warning, "WatchdogSec=30"},
		{"no watchdog", set("WatchdogUSec", "0"), "watchdog", OK, "no watchdog"},
		{"PrivatePIDs", set("PrivatePIDs", "yes"), "parent", Warning, "PrivatePIDs=no"},
		{"pid 1", func(f *facts) { f.unit, f.process.inner = nil, 1 }, "parent", Error, "PID 1"},
		{"below tini", func(f *facts) { f.unit, f.above = nil, &process{pid: 1, name: "tini"} }, "parent", Error, "below tini"},
		{"below tini, a parent stays", func(f *facts) { f.unit, f.above, f.stays = nil, &process{pid: 1, name: "tini"}, true }, "parent", OK, "stays"},
		{"low port", func(f *facts) { f.Status.Listen = []string{"0.0.0.0:443", "unix:/run/x"} }, "ports", Warning, "CAP_NET_BIND_SERVICE"},
		{"low port, ambient", func(f *facts) { f.Status.Listen = []string{"0.0.0.0:443"}; f.process.ambient = netBindService }, "ports", OK, ""},
		{"low port of root", func(f *facts) { f.Status.Listen = []string{"0.0.0.0:443"}; f.process.uid = 0 }, "ports", OK, "absent"},
		{"little memory", func(f *facts) { f.limits.memoryMax = 100 << 20 }, "memory", Error, "MemoryMax=142M"},
		{"large server", func(f *facts) { f.process.rss = 300 << 20 }, "memory", Error, "600 MB"},
		{"slowed down", func(f *facts) { f.limits.memoryHigh = 100 << 20 }, "memory", Warning, "memory.high"},
		{"no limit", func(f *facts) { f.limits = limits{} }, "memory", OK, "no limit"},
		{"few tasks", func(f *facts) { f.limits.tasksMax = 30 }, "tasks", Error, "TasksMax=104"},
		{"few files", func(f *facts) { f.process.files = 256 }, "files", Warning, "LimitNOFILE"},
		{"many open", func(f *facts) { f.process.open = 60000 }, "files", Warning, "60000 open"},
		{"long path", func(f *facts) { f.StateDir = "/" + strings.Repeat("d", 90); set("PrivateTmp", "no")(f) }, "socket", Warning, "shorter path"},
		{"long path, private /tmp", func(f *facts) { f.StateDir = "/" + strings.Repeat("d", 90) }, "socket", Error, "RuntimeDirectory=hello"},
		{"long path, runtime directory", func(f *facts) { f.StateDir = "/" + strings.Repeat("d", 90); set("RuntimeDirectory", "hello")(f) }, "socket", OK, ""},
		{"several", func(f *facts) { f.Instances = []admin.Instance{{ID: "a", Version: "1"}, {ID: "b", Version: "1"}} }, "instances", OK, "2 servers"},
		{"several versions", func(f *facts) { f.Instances = []admin.Instance{{ID: "a", Version: "1"}, {ID: "b", Version: "2"}} }, "instances", Warning, "a, b"},
		{"clock behind", func(f *facts) { f.Built = f.now.AddDate(0, 1, 0) }, "clock", Error, "2026-12-27"},
		{"clock free", func(f *facts) { f.unsynced = "unsynchronised" }, "clock", Warning, "timedatectl"},
		{"clock ahead", func(f *facts) { f.unsynced = "unsynchronised"; f.expiries[0].Expires = f.now.Add(-1) }, "clock", Error, "expired"},
		{"dev", func(f *facts) { f.Status.Version = "dev" }, "version", Warning, "-ldflags"},
		{"off", func(f *facts) { f.Status.Updates = admin.Updates{Reason: "no source"} }, "version", Warning, "no source"},
		{"off until a successor has settled", func(f *facts) {
			f.Status.Updates = admin.Updates{Reason: "not the only generation yet"}
			f.Status.Since = f.now.Add(-time.Second)
		}, "version", OK, "updates wait"},
		{"off still", func(f *facts) {
			f.Status.Updates = admin.Updates{Reason: "the lock"}
			f.Status.Since = f.now.Add(-time.Minute)
		}, "version", Warning, "the lock"},
		{"yanked", func(f *facts) { f.updater.Yanked = &release.Stop{Reason: "loses data"} }, "version", Warning, "loses data"},
		{"packaged", func(f *facts) {
			f.updater.Owner = &owner.Package{Manager: "dpkg", Name: "hello", Upgrade: "apt-get install hello"}
		}, "owner", Warning, "apt-get install hello"},
		{"disabled", func(f *facts) { f.Disabled = "use apt" }, "owner", OK, "use apt"},
		{"expired", func(f *facts) { f.expiries[1].Expires = f.now.Add(-time.Hour) }, "feed", Error, "snapshot on 2026-11-27"},
		{"expires soon", func(f *facts) { f.expiries[0].Expires = f.now.Add(5 * time.Hour) }, "feed", Warning, "timestamp in 5h"},
		{"halted", func(f *facts) { f.updater.CheckReason, f.updater.CheckError = "halted", "1.1.0 is halted" }, "last-check", Warning, "1.1.0 is halted"},
		{"held, told once", func(f *facts) { f.updater.CheckReason = "held" }, "last-check", OK, "absent"},
		{"obstacle, told once", func(f *facts) { obstacle("noexec")(f); f.updater.CheckReason = "noexec" }, "last-check", OK, "absent"},
		{"held", func(f *facts) { f.updater.Hold = &updater.Hold{Reason: "the fair"} }, "hold", Warning, "the fair"},
		{"quarantine", func(f *facts) { f.updater.Quarantine = []updater.Quarantined{{Version: "1.1.0", Reason: "crashed"}} }, "quarantine", Warning, "1.1.0 (crashed)"},
		{"failed on disk", func(f *facts) { f.updater.Disk = "the disk holds a build that failed" }, "disk", Error, "hello rollback"},
		{"interrupted", cold(func(f *facts) { f.updater = &updater.Status{Attempt: &updater.Attempt{ID: "u-1"}} }), "disk", Warning, "u-1"},
		{"exposed", func(f *facts) { f.updater.Exposed = []string{"/opt"} }, "exposed", Warning, "chmod go-w /opt"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := well()
			tt.change(f)
			var found []Finding
			for _, one := range diagnose(f).Findings {
				if one.Check == tt.check {
					found = append(found, one)
				}
			}
			if tt.says == "absent" {
				if len(found) != 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Severity != tt.severity || !strings.Contains(found[0].Found+"\n"+found[0].Mend, tt.says) {
				t.Fatalf("found %+v, want %s with %q", found, tt.severity, tt.says)
			}
			if bad := found[0].Severity != OK; bad && (found[0].Why == "" || found[0].Mend == "") {
				t.Errorf("it says neither why nor what to do: %+v", found[0])
			}
		})
		seen[tt.check] = seen[tt.check] || tt.severity != OK
	}
	for _, c := range checks {
		if !seen[c.name] {
			t.Errorf("no test makes %s find something", c.name)
		}
	}
}

// TestNotSeen: what cannot be looked at is no finding that all is well.
func TestNotSeen(t *testing.T) {
	f := well()
	f.saw(errors.New("open /proc/70/status: permission denied"))
	r := diagnose(f)
	if last := r.Findings[len(r.Findings)-1]; last.Check != "not-seen" || last.Severity != Warning || r.Count(Warning) != 1 {
		t.Errorf("%+v", last)
	}
}

// TestNothingIsKnown: without a server, a unit or an updater no check falls over.
func TestNothingIsKnown(t *testing.T) {
	r := diagnose(&facts{Options: Options{App: "hello", Version: "1.0.0", InstallPath: "/opt/hello/hello", StateDir: "/opt/hello/.hello.d"}})
	if r.Count(OK) != len(r.Findings) {
		t.Errorf("%+v", r.Findings)
	}
}
