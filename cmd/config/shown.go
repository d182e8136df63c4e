package config

import (
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

// shown is a value as people see it.
func shown(v pflag.Value) string {
	switch v := v.(type) {
	case pflag.SliceValue:
		return joined(v.GetSlice())
	case *remembered:
		if v.Value.String() == "" {
			return joined(v.texts)
		}
	}
	return redacted(v.String())
}

func joined(texts []string) string {
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = redacted(text)
	}
	return strings.Join(list, ", ")
}

// access is the user and the password in a URL, wherever in a text that stands.
var access = regexp.MustCompile(`://[^/?#\s]*@`)

// redacted hides from a text what gives access: a setting is for all to see.
func redacted(text string) string { return access.ReplaceAllString(text, "://xxxxx@") }

// remembered is a value of the program's own that may not tell what it was set to, as that of flag.Func.
type remembered struct {
	pflag.Value
	texts []string
}

func (r *remembered) Set(text string) error {
	err := r.Value.Set(text)
	if err == nil {
		r.texts = append(r.texts, text)
	}
	return err
}

// remember lets f tell what it was set to, if it is not sure to do so itself.
func remember(f *pflag.Flag) {
	if wanted(f.Value.Type()) == "" {
		f.Value = &remembered{Value: f.Value}
	}
}
