//go:build unix

package path_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/updater/path"
)

// writers are all the ways in which a file comes to a path, each by the tool itself. from and from.minisig are what is dropped.
var writers = []struct {
	name, tool string
	first      func(d *drop, from string) // puts the first version there, where that is not a plain file
	write      func(d *drop, from string)
}{
	{"cp", "cp", nil, each("cp")},
	{"cp -f", "cp", nil, func(d *drop, from string) {
		os.Chmod(d.file, 0o444)
		each("cp", "-f")(d, from)
	}},
	{"cp -p of an old file", "cp", nil, func(d *drop, from string) {
		long := time.Now().Add(-240 * time.Hour)
		os.Chtimes(from, long, long)
		each("cp", "-p")(d, from)
	}},
	{"install", "install", nil, each("install")},
	{"dd", "dd", nil, func(d *drop, from string) {
		d.tool("dd", "if="+from, "of="+d.file, "bs=4k", "status=none")
		d.tool("dd", "if="+from+".minisig", "of="+d.file+".minisig", "status=none")
	}},
	{"dd, signature first", "dd", nil, func(d *drop, from string) {
		d.tool("dd", "if="+from+".minisig", "of="+d.file+".minisig", "status=none")
		d.tool("dd", "if="+from, "of="+d.file, "bs=4k", "status=none")
	}},
	{"a copy that stalls", "sh", nil, func(d *drop, from string) {
		d.tool("sh", "-c", stall, from, d.file)
		d.tool("cp", from+".minisig", d.file+".minisig")
	}},
	{"a copy that stalls, signature first", "sh", nil, func(d *drop, from string) {
		d.tool("cp", from+".minisig", d.file+".minisig")
		d.tool("sh", "-c", stall, from, d.file)
	}},
	{"rsync", "rsync", nil, each("rsync", "-tI")}, // whatever the times say: here both are of this second
	{"rsync in place", "rsync", nil, each("rsync", "-I", "--inplace")},
	{"mv", "mv", nil, each("mv")},
	{"mv, signature first", "mv", nil, func(d *drop, from string) {
		d.tool("mv", from+".minisig", d.file+".minisig")
		d.tool("mv", from, d.file)
	}},
	{"mv across file systems", "mv", nil, func(d *drop, from string) { each("mv")(d, d.otherFileSystem(from)) }},
	{"hard link over", "ln", nil, each("ln", "-f")},
	{"links that are flipped", "ln", flipped, flipped},
	{"a directory that is flipped", "ln", current, current},
	{"kubelet", "", kubelet, kubelet},
}

// stall writes half a file and waits for longer than a file at rest.
const stall = `(head -c 100000 "$0"; sleep 0.4; tail -c +100001 "$0") >"$1"`

// each drops the file, then its signature.
func each(tool string, args ...string) func(*drop, string) {
	return func(d *drop, from string) {
		d.tool(tool, append(args, from, d.file)...)
		d.tool(tool, append(args, from+".minisig", d.file+".minisig")...)
	}
}

// flipped makes each name a link, by the rename that is atomic.
func flipped(d *drop, from string) {
	for _, suffix := range []string{"", ".minisig"} {
		d.tool("ln", "-sfn", from+suffix, d.file+".tmp")
		d.tool("mv", "-fT", d.file+".tmp", d.file+suffix)
	}
}

// current lets the path lead through one link to the directory of a release.
func current(d *drop, from string) {
	link := filepath.Join(d.dir(), "current")
	d.tool("ln", "-sfn", filepath.Dir(from), link+".tmp")
	d.tool("mv", "-fT", link+".tmp", link)
	if filepath.Base(filepath.Dir(d.file)) != "current" {
		d.file = filepath.Join(link, "hello")
	}
}

// kubelet does what its atomic writer does for a ConfigMap or Secret: a directory with a time in its name, the link ..data that is renamed
// over, links to what is below it, and the old directory is removed.
func kubelet(d *drop, from string) {
	d.t.Helper()
	data := filepath.Join(d.dir(), "..data")
	old, _ := os.Readlink(data)
	version := "..2026_01_02_03_04_05." + strconv.FormatInt(time.Now().UnixNano(), 10)
	must := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(d.dir(), version), 0o755))
	for _, suffix := range []string{"", ".minisig"} {
		b, err := os.ReadFile(from + suffix)
		must(err)
		must(os.WriteFile(filepath.Join(d.dir(), version, "hello"+suffix), b, 0o755))
	}
	must(os.Symlink(version, data+"_tmp"))
	must(os.Rename(data+"_tmp", data))
	if old != "" {
		must(os.RemoveAll(filepath.Join(d.dir(), old)))
		return
	}
	for _, suffix := range []string{"", ".minisig"} {
		os.Remove(d.file + suffix)
		must(os.Symlink("..data/hello"+suffix, d.file+suffix))
	}
}

// dir is the directory that was dropped into at first.
func (d *drop) dir() string {
	if dir := filepath.Dir(d.file); filepath.Base(dir) == "current" {
		return filepath.Dir(dir)
	}
	return filepath.Dir(d.file)
}

func (d *drop) tool(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// otherFileSystem copies a release to one, so that a move from there is a copy.
func (d *drop) otherFileSystem(from string) string {
	d.t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "drop")
	if err != nil {
		d.t.Skip(err)
	}
	d.t.Cleanup(func() { os.RemoveAll(dir) })
	var here, there syscall.Stat_t
	if err := syscall.Stat(d.dir(), &here); err != nil {
		d.t.Fatal(err)
	}
	if err := syscall.Stat(dir, &there); err != nil || here.Dev == there.Dev {
		d.t.Skip("/dev/shm is no other file system")
	}
	d.tool("cp", from, from+".minisig", dir)
	return filepath.Join(dir, "hello")
}

// TestWriters: whatever tool drops a new version, it is offered when it is whole, there is no alarm before, and what is fetched is that
// file to the last byte; woken by events alone, and by looks alone.
func TestWriters(t *testing.T) {
	big := bytes.Repeat([]byte("a new executable"), 1<<18) // so large that a copy can be seen under way
	for _, wr := range writers {
		for _, by := range []string{"events", "looks"} {
			t.Run(wr.name+" by "+by, func(t *testing.T) {
				if wr.tool != "" {
					if _, err := exec.LookPath(wr.tool); err != nil {
						t.Skip(err)
					}
				}
				d := newDrop(t)
				if wr.first != nil {
					wr.first(d, d.release("1.2.3", payload))
					d.Source = path.New(d.file, d.pub)
				}
				var w *watched
				if by == "events" {
					w = d.watch()
				} else {
					path.NoEvents(d.Source)
					path.Hurry(d.Source, 20*time.Millisecond, 50*time.Millisecond, time.Minute)
					w = d.look()
				}
				w.wantLast("1.2.3")
				from := d.release("1.2.4", big)
				begun := time.Now()
				wr.write(d, from)
				w.wantLast("1.2.4")
				t.Logf("after %v, %d checks while it was changing", time.Since(begun).Round(time.Millisecond), w.waits)
				c := w.offers[len(w.offers)-1]
				var got bytes.Buffer
				if err := d.Fetch(t.Context(), query, c.Full, &got); err != nil || !bytes.Equal(got.Bytes(), big) {
					t.Errorf("fetched %d bytes, %v", got.Len(), err)
				}
				if wr.tool == "sh" && w.waits == 0 {
					t.Error("it was never seen under way")
				}
				if wr.first != nil { // and once more: the watch has followed the links
					wr.write(d, d.release("1.2.5", payload))
					w.wantLast("1.2.5")
				}
			})
		}
	}
}

// TestTouched: the same bytes with other times, modes or names are the same offer, and no alarm.
func TestTouched(t *testing.T) {
	d := newDrop(t)
	w := d.watch()
	before := w.wantLast("1.2.3")
	c := w.offers[0]
	copied, linked := d.release("1.2.3", payload), d.release("1.2.3", payload)
	for _, touch := range [][]string{
		{"touch", d.file}, {"chmod", "0711", d.file}, {"touch", "-d", "2001-01-01", d.file}, {"touch", d.file + ".minisig"},
		{"mv", copied, d.file}, {"ln", "-f", linked, d.file},
	} {
		d.tool(touch[0], touch[1:]...)
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // between two looks
			if n := w.wantLast("1.2.3"); n > before {
				before = n
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%v: not looked at", touch)
			}
		}
		w.mu.Lock()
		last := w.offers[len(w.offers)-1]
		w.mu.Unlock()
		if last.Digest != c.Digest || last.Version.Compare(c.Version) != 0 || last.Length != c.Length {
			t.Errorf("%v: another offer: %+v", touch, last)
		}
	}
}
