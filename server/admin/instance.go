package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Instance is one running server, in all its generations. It is the content of instance.json.
type Instance struct {
	Schema     int      `json:"schema"`
	ID         string   `json:"id"`
	App        string   `json:"app"`
	Version    string   `json:"version"`
	PID        int      `json:"pid"` // of the generation that owns the admin socket
	Generation int      `json:"generation"`
	Admin      string   `json:"admin"` // path of the admin socket
	Listen     []string `json:"listen"`
}

const (
	instanceFile = "instance.json"
	// maxInstanceFile bounds what is read of one.
	maxInstanceFile = 64 << 10
	// unfinishedAge is after what time a directory without instance.json belongs to a server that died
	// while it started.
	unfinishedAge = time.Minute
)

// StateDir returns the state directory of the executable at installPath: the one that an updater uses as well.
func StateDir(installPath string) string {
	dir, name := filepath.Split(installPath)
	return filepath.Join(dir, "."+name+".d")
}

// Homes returns the directories where the instances that belong to a state directory may live, the usual
// one first.
func Homes(stateDir string) []string {
	sum := sha256.Sum256([]byte(stateDir))
	name := fmt.Sprintf("moult-%d-%s", os.Geteuid(), hex.EncodeToString(sum[:6]))
	return []string{filepath.Join(stateDir, "instances"), filepath.Join(os.TempDir(), name)}
}

var idSyntax = regexp.MustCompile(`^[a-z0-9]{1,32}$`)

// ErrDead says that no process listens on an instance's admin socket.
var ErrDead = errors.New("no server listens")

// Alive returns nil if a process listens on the admin socket at path, and ErrDead if certainly none does.
// Any other error leaves the question open: a full queue, no permission.
func Alive(path string) error {
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return c.Close()
	case errors.Is(err, fs.ErrNotExist), refused(err):
		return fmt.Errorf("%w on %s", ErrDead, path)
	}
	return err
}

// Instances lists the living servers that belong to a state directory, by ID. It changes nothing. A directory
// that may not be read is an error, one that does not exist is not.
func Instances(stateDir string) ([]Instance, error) {
	var found []Instance
	for i, home := range Homes(stateDir) {
		entries, err := os.ReadDir(home)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for servers: %w", err)
		}
		// Anybody may make a directory of the second name below /tmp; the first lies beside the executable,
		// where root may look for the servers of others.
		if trusted(home, i == 0) != nil {
			continue
		}
		for _, e := range entries {
			in, err := readInstance(filepath.Join(home, e.Name()))
			if err != nil || in.ID != e.Name() || errors.Is(Alive(in.Admin), ErrDead) {
				continue
			}
			found = append(found, in)
		}
	}
	slices.SortFunc(found, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

func readInstance(dir string) (Instance, error) {
	var in Instance
	f, err := os.Open(filepath.Join(dir, instanceFile))
	if err != nil {
		return in, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxInstanceFile))
	if err != nil {
		return in, err
	}
	return ParseInstance(b)
}

// ParseInstance reads the content of an instance.json.
func ParseInstance(b []byte) (Instance, error) {
	var in Instance
	if err := json.Unmarshal(b, &in); err != nil {
		return in, fmt.Errorf("parse %s: %w", instanceFile, err)
	}
	if in.Schema < 1 || !idSyntax.MatchString(in.ID) || !filepath.IsAbs(in.Admin) {
		return in, fmt.Errorf("parse %s: schema %d, id %.40q, admin socket %.120q", instanceFile, in.Schema, in.ID, in.Admin)
	}
	return in, nil
}

// Write puts in into dir, whole or not at all.
func (in Instance) Write(dir string) error {
	in.Schema = Schema
	b, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return err
	}
	// The name of the temporary file is this process's alone; nothing here must survive a power cut, since
	// no server does either.
	temp := filepath.Join(dir, instanceFile+"."+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", instanceFile, err)
	}
	if err := os.Rename(temp, filepath.Join(dir, instanceFile)); err != nil {
		os.Remove(temp)
		return fmt.Errorf("write %s: %w", instanceFile, err)
	}
	return nil
}

// Sweep removes what servers that died left in home.
func Sweep(home string) {
	entries, err := os.ReadDir(home)
	if err != nil || trusted(home, false) != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !idSyntax.MatchString(e.Name()) {
			continue
		}
		dir := filepath.Join(home, e.Name())
		in, err := readInstance(dir)
		if err == nil && errors.Is(Alive(in.Admin), ErrDead) {
			in.Remove(home)
			continue
		}
		if fi, statErr := e.Info(); err != nil && statErr == nil && time.Since(fi.ModTime()) > unfinishedAge {
			os.RemoveAll(dir)
		}
	}
}

// Remove removes the instance from home, and the directory of its socket, which may be elsewhere.
func (in Instance) Remove(home string) {
	os.RemoveAll(filepath.Join(home, in.ID))
	if at := filepath.Dir(in.Admin); filepath.Base(at) == in.ID {
		os.Remove(in.Admin)
		os.Remove(at)
	}
}

// MakePrivate makes dir, and what is missing above it, with mode 0700, or checks that an existing one is a
// directory of ours that others cannot write.
func MakePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return trusted(dir, false)
}
