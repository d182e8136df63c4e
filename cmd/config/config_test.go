package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/moult-go/moult/server/admin"
)

// options are the flags of a program called hello-world, of every kind.
type options struct {
	listen []string
	drain  time.Duration
	keep   int
	share  float64
	h2c    bool
	dir    string
	tables string
	proxy  []string
	token  string
}

func flags() (*options, *pflag.FlagSet) {
	var o options
	fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fl.StringArrayVar(&o.listen, "listen", []string{"localhost:8080"}, "")
	fl.DurationVar(&o.drain, "drain-timeout", time.Minute, "")
	fl.IntVar(&o.keep, "keep", 4, "")
	fl.Float64Var(&o.share, "share", 0.5, "")
	fl.BoolVar(&o.h2c, "h2c", false, "")
	own := flag.NewFlagSet("own", flag.ContinueOnError)
	own.StringVar(&o.dir, "dir", ".", "")
	own.StringVar(&o.tables, "db.tables", "", "")
	own.StringVar(&o.token, "token-env", "", "")
	own.Func("proxy", "", func(s string) error {
		if !strings.Contains(s, "://") {
			return errors.New("want a URL")
		}
		o.proxy = append(o.proxy, s)
		return nil
	})
	fl.AddGoFlagSet(own)
	Flag(fl)
	return &o, fl
}

// read runs Read over a file with that text, NAME=VALUE words and arguments.
func read(t *testing.T, text, environ, args string) (*options, []admin.Setting, error) {
	t.Helper()
	o, fl := flags()
	if err := fl.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	env := append([]string{"PATH=/bin"}, strings.Fields(environ)...)
	if text != "" {
		file := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		env = append(env, "HELLO_WORLD_CONFIG="+file)
	}
	list, err := Read(fl, Options{Program: "hello-world", Environ: env, Ignore: []string{"HELLO_WORLD_HOME"}})
	return o, list, err
}

func setting(list []admin.Setting, name string) admin.Setting {
	for _, s := range list {
		if s.Name == name {
			s.Origin = filepath.Base(s.Origin)
			return s
		}
	}
	return admin.Setting{}
}

// TestPrecedence: flags over environment over file over defaults, for each kind of flag.
func TestPrecedence(t *testing.T) {
	for _, tt := range []struct {
		text, environ, args string
		key, value, origin  string
	}{
		{"", "", "", "keep", "4", "default"},
		{"keep = 5", "", "", "keep", "5", "c.toml:1"},
		{"keep = 5", "HELLO_WORLD_KEEP=6", "", "keep", "6", "HELLO_WORLD_KEEP"},
		{"keep = 5", "HELLO_WORLD_KEEP=6", "--keep 7", "keep", "7", "flag"},
		{"keep = 5", "", "--keep 7", "keep", "7", "flag"},
		{"", "HELLO_WORLD_KEEP=6", "--keep 4", "keep", "4", "flag"},
		{"keep = 5", "HELLO_WORLD_KEEP=", "", "keep", "5", "c.toml:1"},

		{"", "", "", "listen", "localhost:8080", "default"},
		{"# ours\n\nlisten = [\n  ':1',\n  ':2',\n]", "", "", "listen", ":1, :2", "c.toml:3"},
		{"listen = []", "", "", "listen", "", "c.toml:1"},
		{"listen = [':1']", "HELLO_WORLD_LISTEN=:3", "", "listen", ":3", "HELLO_WORLD_LISTEN"},
		{"listen = [':1']", `HELLO_WORLD_LISTEN=[":3",":4"]`, "", "listen", ":3, :4", "HELLO_WORLD_LISTEN"},
		{"listen = [':1']", "HELLO_WORLD_LISTEN=:3", "--listen :5 --listen :6", "listen", ":5, :6", "flag"},

		{"drain-timeout = '90s'", "", "", "drain-timeout", "1m30s", "c.toml:1"},
		{"drain-timeout = '90s'", "HELLO_WORLD_DRAIN_TIMEOUT=1h", "", "drain-timeout", "1h0m0s", "HELLO_WORLD_DRAIN_TIMEOUT"},
		{"h2c = true", "", "", "h2c", "true", "c.toml:1"},
		{"h2c = true", "HELLO_WORLD_H2C=false", "", "h2c", "false", "HELLO_WORLD_H2C"},
		{"h2c = false", "", "--h2c", "h2c", "true", "flag"},
		{"share = 1", "", "", "share", "1", "c.toml:1"},
		{"share = 0.25", "", "", "share", "0.25", "c.toml:1"},

		{"dir = '/srv'", "", "", "dir", "/srv", "c.toml:1"},
		{"[db]\ntables = 'x'", "", "", "db.tables", "x", "c.toml:2"},
		{"db.tables = 'x'", "", "", "db.tables", "x", "c.toml:1"},
		{"db = { tables = 'x' }", "", "", "db.tables", "x", "c.toml:1"},
		{"db.tables = 'x'", "HELLO_WORLD_DB_TABLES=y", "", "db.tables", "y", "HELLO_WORLD_DB_TABLES"},
		{"proxy = ['http://a', 'http://b']", "", "", "proxy", "http://a, http://b", "c.toml:1"},
		{"proxy = 'http://a'", "", "", "proxy", "http://a", "c.toml:1"},
		{"proxy = 'http://u:p@a/'", "", "", "proxy", "http://xxxxx@a/", "c.toml:1"},
		{"", "", "--proxy http://a --proxy /b=http://u:p@b/", "proxy", "http://a, /b=http://xxxxx@b/", "flag"},
		{"proxy = 'http://c'", "", "--proxy http://a", "proxy", "http://a", "flag"},
		{"dir = 'http://u:p%2f@x@a/?q=c@d'", "", "", "dir", "http://xxxxx@a/?q=c@d", "c.toml:1"},
		{"dir = 'http://a?q=c@d'", "", "", "dir", "http://a?q=c@d", "c.toml:1"},
		{"dir = 'http://u:p@a/'", "", "", "dir", "http://xxxxx@a/", "c.toml:1"},
		{"listen = ['http://u:p@a/']", "", "", "listen", "http://xxxxx@a/", "c.toml:1"},
		{"keep = 5", "", "", "config", "c.toml", "HELLO_WORLD_CONFIG"},
	} {
		_, list, err := read(t, tt.text, tt.environ, tt.args)
		got := setting(list, tt.key)
		if tt.key == "config" {
			got.Value = filepath.Base(got.Value)
		}
		if err != nil || got != (admin.Setting{Name: tt.key, Value: tt.value, Origin: tt.origin}) {
			t.Errorf("%q, %q, %q: %+v, %v; want %s %s", tt.text, tt.environ, tt.args, got, err, tt.value, tt.origin)
		}
	}
}

// TestVariablesGetValues: the flags' own variables, not only what is shown.
func TestVariablesGetValues(t *testing.T) {
	o, _, err := read(t, "drain-timeout = '2s'\nproxy = ['http://a', 'http://b']\ndir = 'd'\nh2c = true\nshare = 1.5", "HELLO_WORLD_LISTEN=:1", "--keep 9")
	if err != nil || o.drain != 2*time.Second || len(o.proxy) != 2 || o.dir != "d" || !o.h2c || o.share != 1.5 || len(o.listen) != 1 || o.listen[0] != ":1" || o.keep != 9 {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestMistakes: each says where it stands, what stands there and what is wanted.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ text, environ, want string }{
		{"lisen = ':1'", "", "c.toml:1: lisen: unknown key; did you mean listen?"},
		{"drain_timeout = '1s'", "", "c.toml:1: drain_timeout: unknown key; did you mean drain-timeout?"},
		{"\nfrobnicate = 1", "", "c.toml:2: frobnicate: unknown key"},
		{"[db]\ntabels = 'x'", "", "c.toml:2: db.tabels: unknown key; did you mean db.tables?"},
		{"[tables]\n", "", "c.toml:1: tables: unknown key"},
		{"[[x]]\na = 1", "", "c.toml:1: x: unknown key"},
		{"config = 'other'", "", "c.toml:1: config: a file cannot name another one"},
		{"listen = ':1'", "", `c.toml:1: listen: ":1": want a list of texts such as ["a", "b"]`},
		{"listen = [1]", "", `c.toml:1: listen: [1]: want a list of texts such as ["a", "b"]`},
		{"listen = 8080", "", `c.toml:1: listen: 8080: want a list of texts such as ["a", "b"]`},
		{"drain-timeout = 30", "", `c.toml:1: drain-timeout: 30: want a duration such as "30s" or "1h30m"`},
		{"drain-timeout = '30'", "", `c.toml:1: drain-timeout: "30": want a duration such as "30s" or "1h30m"`},
		{"keep = 'four'", "", `c.toml:1: keep: "four": want a whole number`},
		{"keep = 4.5", "", `c.toml:1: keep: 4.5: want a whole number`},
		{"keep = [4]", "", `c.toml:1: keep: [4]: want a whole number`},
		{"keep = 99999999999999999999", "", "c.toml:1: "},
		{"h2c = 'yes'", "", `c.toml:1: h2c: "yes": want true or false`},
		{"share = 'half'", "", `c.toml:1: share: "half": want a number`},
		{"dir = 1", "", `c.toml:1: dir: 1: want a text in quotes`},
		{"dir = 2026-01-02", "", `c.toml:1: dir: 2026-01-02: want a text in quotes`},
		{"proxy = 'x'", "", `c.toml:1: proxy: "x": want a URL`},
		{"proxy = { a = 1 }", "", `c.toml:1: proxy.a: unknown key; did you mean proxy?`},
		{"listen = [':1'", "", "c.toml:1: "},
		{"keep = 1\nkeep = 2", "", "c.toml:2: "},
		{"a = 1\n= 2", "", "c.toml:2: "},
		{"", "HELLO_WORLD_LISEN=:1", "HELLO_WORLD_LISEN: unknown variable; did you mean HELLO_WORLD_LISTEN?"},
		{"", "HELLO_WORLD_FROBNICATE=1", "HELLO_WORLD_FROBNICATE: unknown variable"},
		{"", "HELLO_WORLD_KEEP=many", `HELLO_WORLD_KEEP: keep: "many": want a whole number`},
		{"", "HELLO_WORLD_DRAIN_TIMEOUT=30", `HELLO_WORLD_DRAIN_TIMEOUT: drain-timeout: "30": want a duration such as "30s" or "1h30m"`},
		{"", "HELLO_WORLD_LISTEN=[:1", `HELLO_WORLD_LISTEN: listen: "[:1": want a list of texts such as ["a", "b"]`},
		{"", "HELLO_WORLD_CONFIG=/nowhere/c.toml", "/nowhere/c.toml: no such file or directory"},
		{"", "HELLO_WORLD_CONFIG=/", "/: is a directory"},
		{"dir = '" + strings.Repeat("x", maxFile) + "'", "", "c.toml: it has more than 1048576 bytes"},
	} {
		_, list, err := read(t, tt.text, tt.environ, "")
		var e *Error
		if !errors.As(err, &e) || len(e.Problems) != 1 || list != nil {
			t.Errorf("%.40q %q: %v", tt.text, tt.environ, err)
			continue
		}
		got := err.Error()
		if i := strings.Index(got, "c.toml"); i > 0 && !strings.HasPrefix(got, "/nowhere") {
			got = got[i:]
		}
		if got != tt.want && !(strings.HasSuffix(tt.want, ": ") && strings.HasPrefix(got, tt.want) && len(got) > len(tt.want)) {
			t.Errorf("%.40q %q:\n got %s\nwant %s", tt.text, tt.environ, got, tt.want)
		}
	}
}

// TestAllAtOnce: one run tells of every mistake, in the order of the file.
func TestAllAtOnce(t *testing.T) {
	_, _, err := read(t, "frobnicate = 1\nkeep = 'x'\n[db]\nx = 1\n", "HELLO_WORLD_LISEN=1 HELLO_WORLD_H2C=maybe", "")
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != 5 {
		t.Fatalf("%v", err)
	}
	for i, end := range []string{":1", ":2", ":4", "HELLO_WORLD_H2C", "HELLO_WORLD_LISEN"} {
		if !strings.HasSuffix(e.Problems[i].Where, end) {
			t.Errorf("problem %d: %v, want it at %s", i, e.Problems[i], end)
		}
	}
}

// TestForeignVariables: what others set under our prefix is no mistake of whoever configured us.
func TestForeignVariables(t *testing.T) {
	kubernetes := "HELLO_WORLD_SERVICE_HOST=10.0.0.1 HELLO_WORLD_SERVICE_PORT=80 HELLO_WORLD_SERVICE_PORT_HTTP=80 HELLO_WORLD_PORT=tcp://10.0.0.1:80 " +
		"HELLO_WORLD_PORT_80_TCP=tcp://10.0.0.1:80 HELLO_WORLD_PORT_80_TCP_PROTO=tcp HELLO_WORLD_PORT_80_TCP_PORT=80 HELLO_WORLD_PORT_80_TCP_ADDR=10.0.0.1"
	for _, environ := range []string{kubernetes, "HELLO_WORLD_HOME=/x", "HELLO_WORLD_TOKEN_ENV=HELLO_WORLD_TOKEN HELLO_WORLD_TOKEN=secret", "HELLO_WORLDS=1"} {
		if _, _, err := read(t, "", environ, ""); err != nil {
			t.Errorf("%s: %v", environ, err)
		}
	}
	if _, _, err := read(t, "", "HELLO_WORLD_PORT=80", ""); err == nil {
		t.Error("a port that nobody set but a person is taken for that of Kubernetes")
	}
}

// TestPartial: a command with some of the flags takes those, and is not bothered by the rest.
func TestPartial(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(file, []byte("dir = '/srv'\nnonsense = 1\nkeep = 'x'"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, all := flags()
	fl := pflag.NewFlagSet("status", pflag.ContinueOnError)
	fl.AddFlag(all.Lookup("dir"))
	fl.AddFlag(all.Lookup(FileFlag))
	fl.Parse([]string{"--config", file})
	list, err := Read(fl, Options{Program: "hello", Environ: []string{"HELLO_NONSENSE=1"}, Partial: true})
	if got := setting(list, "dir"); err != nil || got.Value != "/srv" || len(list) != 2 || fl.Changed("dir") {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestNamed(t *testing.T) {
	list := []admin.Setting{{Name: "a", Origin: OriginFlag}, {Name: "b", Origin: "HELLO_B"}, {Name: "c", Origin: "c.toml:7"}, {Name: "d", Origin: OriginDefault}}
	for name, want := range map[string]string{"a": "--a", "b": "HELLO_B", "c": "c.toml:7: c", "d": "--d", "e": "--e"} {
		if got := Named(list, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, text := range []string{"listen = [':1']", "[db]\ntables = 'x'", "a = { b = 1 }\n[[c]]\n", "\xef\xbb\xbfkeep = 1", "keep = 1 # x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, fl := flags()
		fl.Set(FileFlag, file)
		list, err := Read(fl, Options{Program: "hello", Environ: []string{}})
		if (err == nil) == (list == nil) {
			t.Errorf("%v, %v", list, err)
		}
	})
}
