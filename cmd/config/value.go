package config

import (
	"fmt"
	"strings"

	syntax "github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// typed is a value that has no type yet, because it stood in a variable.
type typed string

// Wanted says what v takes, "" if only v knows.
func Wanted(v pflag.Value) string { return wanted(v.Type()) }

// wanted says what a flag of a type takes, by the names that pflag has for them.
func wanted(kind string) string {
	switch {
	case kind == "bool":
		return "true or false"
	case kind == "duration":
		return `a duration such as "30s" or "1h30m"`
	case kind == "string":
		return "a text in quotes"
	case isList(kind):
		return `a list of texts such as ["a", "b"]`
	case isWhole(kind):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	}
	return ""
}

func isList(kind string) bool {
	return strings.HasSuffix(kind, "Array") || strings.HasSuffix(kind, "Slice")
}

func isWhole(kind string) bool {
	return strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "uint") || kind == "count"
}

// textsFor turns a value into what one would type for a flag of that kind: once, or as often as a list has elements.
func textsFor(kind string, v any) ([]string, error) {
	if text, ok := v.(typed); ok {
		if !isList(kind) || !strings.HasPrefix(string(text), "[") {
			return []string{string(text)}, nil
		}
		var doc struct{ V any }
		if err := syntax.Unmarshal([]byte("V = "+string(text)), &doc); err != nil {
			return nil, mismatch(kind, string(text))
		}
		v = doc.V
	}
	list, isArray := v.([]any)
	want := wanted(kind)
	switch {
	case want == "" && isArray: // a type of the program's own, which may be given several times
	case isList(kind) != isArray:
		return nil, mismatch(kind, v)
	case !isArray:
		list = []any{v}
	}
	var texts []string
	for _, one := range list {
		if !fits(kind, one) {
			return nil, mismatch(kind, v)
		}
		texts = append(texts, fmt.Sprint(one))
	}
	return texts, nil
}

// fits reports whether a TOML value is of the type that a flag takes, so that nothing is converted behind anybody's back.
func fits(kind string, v any) bool {
	switch v.(type) {
	case string:
		return kind == "string" || kind == "duration" || isList(kind) || wanted(kind) == ""
	case bool:
		return kind == "bool" || wanted(kind) == ""
	case int64:
		return isWhole(kind) || strings.HasPrefix(kind, "float") || wanted(kind) == ""
	case float64:
		return strings.HasPrefix(kind, "float") || wanted(kind) == ""
	}
	return false
}

func mismatch(kind string, v any) error {
	text := fmt.Sprintf("%v", v)
	if s, ok := v.(string); ok {
		text = fmt.Sprintf("%.80q", s)
	}
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	want := wanted(kind)
	if want == "" {
		want = "a text, a number, true or false, or a list of those"
	}
	return fmt.Errorf("%s: want %s", text, want)
}

// give sets v to texts, of which only a list or a type of the program's own may have several. The reasons of pflag are those of strconv, so what is
// wanted is said instead where that is known.
func give(v pflag.Value, texts []string) error {
	if list, ok := v.(pflag.SliceValue); ok {
		if err := list.Replace(texts); err != nil {
			return mismatch(v.Type(), strings.Join(texts, ", "))
		}
		return nil
	}
	for _, text := range texts {
		err := v.Set(text)
		if err != nil && wanted(v.Type()) != "" {
			return mismatch(v.Type(), text)
		}
		if err != nil {
			return fmt.Errorf("%.80q: %w", text, err)
		}
	}
	return nil
}
