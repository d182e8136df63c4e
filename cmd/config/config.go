package config

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/moult-go/moult/server/admin"
)

// FileFlag is the flag that names the file, which cannot name another one.
const FileFlag = "config"

// Origins of a value that stands neither in a variable nor in a file.
const (
	OriginFlag    = "flag"
	OriginDefault = "default"
)

// Options say what Read reads.
type Options struct {
	// Program is the name that variables begin with.
	Program string
	// Environ holds the environment as os.Environ returns it, which is the default.
	Environ []string
	// Ignore lists variables with the program's prefix that are no settings, because the program reads them itself.
	// The variable that is the value of a flag called …-env is none either.
	Ignore []string
	// Partial says that the flags are some of those that the file is for: what they do not know is left to others.
	Partial bool
}

// Flag adds --config to fl, before it is parsed. Flags that stand there already and do not tell what they were set to, as those of flag.Func, are made to.
func Flag(fl *pflag.FlagSet) {
	fl.VisitAll(remember)
	fl.String(FileFlag, "", "TOML `file` with values for the flags, by their names")
}

// Read gives every flag of fl that was not typed its value from the environment or the file that --config names, and returns the settings in
// effect, sorted by name. An error is an *Error, and the flags are then not to be used.
func Read(fl *pflag.FlagSet, o Options) ([]admin.Setting, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	r := &reading{fl: fl, o: o, keys: keysOf(fl), values: koanf.New("."), where: map[string]string{}, lines: map[string]int{}}
	r.readFile(r.file())
	r.readEnvironment()
	fl.VisitAll(r.set)
	r.unknownVariables()
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return r.line(a) - r.line(b) })
		return nil, &Error{r.problems}
	}
	return r.settings(), nil
}

// reading is one Read under way.
type reading struct {
	fl       *pflag.FlagSet
	o        Options
	keys     []string
	values   *koanf.Koanf      // the file, and the environment over it
	where    map[string]string // of each of those values: FILE:LINE, or the variable
	lines    map[string]int    // of places in the file
	problems []Problem
}

// keysOf are the names of the flags that can be configured.
func keysOf(fl *pflag.FlagSet) (keys []string) {
	fl.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			keys = append(keys, f.Name)
		}
	})
	return keys
}

func (r *reading) problem(where, key, message string) {
	r.problems = append(r.problems, Problem{where, key, message})
}

// line orders problems: those of the file as they stand there, then the variables.
func (r *reading) line(p Problem) int {
	if line, ok := r.lines[p.Where]; ok {
		return line
	}
	return maxFile
}

// file is the name of the file, which has to be known before all else.
func (r *reading) file() string {
	f := r.fl.Lookup(FileFlag)
	if f == nil {
		return ""
	}
	if !f.Changed {
		for _, e := range r.o.Environ {
			if value, ok := strings.CutPrefix(e, Variable(r.o.Program, FileFlag)+"="); ok && value != "" {
				return value
			}
		}
	}
	return f.Value.String()
}

// set gives f its value, unless it was typed. It goes round FlagSet.Set, so that f does not count as typed afterwards.
func (r *reading) set(f *pflag.Flag) {
	where, ok := r.where[f.Name]
	if !ok || f.Changed {
		return
	}
	texts, err := textsFor(f.Value.Type(), r.values.Get(f.Name))
	if err == nil {
		err = give(f.Value, texts)
	}
	if err != nil {
		r.problem(where, f.Name, err.Error())
	}
}

func (r *reading) settings() (list []admin.Setting) {
	for _, key := range r.keys {
		f := r.fl.Lookup(key)
		s := admin.Setting{Name: key, Value: shown(f.Value), Origin: cmp.Or(r.where[key], OriginDefault)}
		if f.Changed {
			s.Origin = OriginFlag
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b admin.Setting) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Named is how the one who configured a setting knows it, for the messages of checks that come later: --window, HELLO_WINDOW, or
// hello.toml:7: window.
func Named(list []admin.Setting, name string) string {
	for _, s := range list {
		switch {
		case s.Name != name || s.Origin == OriginFlag || s.Origin == OriginDefault:
		case strings.Contains(s.Origin, ":"):
			return s.Origin + ": " + name
		default:
			return s.Origin
		}
	}
	return "--" + name
}
