package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// Variable returns the name of the environment variable of a flag.
func Variable(program, flag string) string { return prefix(program) + capitals(flag) }

func prefix(program string) string { return capitals(program) + "_" }

func capitals(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// readEnvironment puts the variables of the program into r, over the file.
func (r *reading) readEnvironment() {
	known := map[string]string{}
	for _, key := range r.keys {
		known[Variable(r.o.Program, key)] = key
	}
	layer := koanf.New(".")
	err := layer.Load(env.Provider(".", env.Opt{
		Prefix:      prefix(r.o.Program),
		EnvironFunc: func() []string { return r.o.Environ },
		TransformFunc: func(name, value string) (string, any) {
			key := known[name]
			if key == "" || value == "" {
				return "", nil
			}
			r.where[key] = name
			return key, typed(value)
		},
	}), nil)
	if err != nil {
		r.problem(prefix(r.o.Program), "", err.Error())
	}
	r.merge(layer)
}

// unknownVariables complains of those that no flag knows. It comes last, as flags may name variables.
func (r *reading) unknownVariables() {
	if r.o.Partial {
		return
	}
	var names []string
	ignore := slices.Clone(r.o.Ignore)
	for _, key := range r.keys {
		names = append(names, Variable(r.o.Program, key))
		if strings.HasSuffix(key, "-env") {
			ignore = append(ignore, r.fl.Lookup(key).Value.String())
		}
	}
	for _, e := range slices.Sorted(slices.Values(r.o.Environ)) {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, prefix(r.o.Program)) && !slices.Contains(names, name) && !slices.Contains(ignore, name) && !r.ofService(name) {
			r.problem(name, "", "unknown variable"+DidYouMean(name, names))
		}
	}
}

// port is what follows the name of a service in the variables that Kubernetes makes of it, and Docker of a link, for every container beside it.
var port = regexp.MustCompile(`^(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// ofService reports whether the orchestrator has set name, because a service is called as the program is.
func (r *reading) ofService(name string) bool {
	own := prefix(r.o.Program)
	there := slices.ContainsFunc(r.o.Environ, func(e string) bool {
		return strings.HasPrefix(e, own+"SERVICE_HOST=") || strings.HasPrefix(e, own+"PORT=tcp://")
	})
	return there && port.MatchString(strings.TrimPrefix(name, own))
}
