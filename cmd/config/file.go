package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	syntax "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile bounds the file in bytes.
const maxFile = 1 << 20

// readFile puts what stands in the file called name into r, and complains of keys that no flag knows.
func (r *reading) readFile(name string) {
	if name == "" {
		return
	}
	text, err := load(name)
	if err != nil {
		r.problem(name, "", err.Error())
		return
	}
	file := koanf.New(".")
	if err := file.Load(rawbytes.Provider(text), toml.Parser()); err != nil {
		r.problem(place(name, lineOf(err)), "", strings.TrimPrefix(err.Error(), "toml: "))
		return
	}
	lines := linesOf(text)
	keys := file.Keys()
	slices.SortStableFunc(keys, func(a, b string) int { return lines.of(a) - lines.of(b) })
	for _, key := range keys {
		where := place(name, lines.of(key))
		r.lines[where] = lines.of(key)
		switch {
		case key == FileFlag:
			r.problem(where, key, "a file cannot name another one")
		case slices.Contains(r.keys, key):
			r.where[key] = where
		case !r.o.Partial:
			r.problem(where, key, "unknown key"+DidYouMean(key, r.keys))
		}
	}
	r.merge(file)
}

func (r *reading) merge(layer *koanf.Koanf) {
	if err := r.values.Merge(layer); err != nil {
		r.problem(r.o.Program, "", err.Error())
	}
}

func load(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return text, reason(err)
}

// reason is err without the name of the file, which is said already.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func place(name string, line int) string {
	if line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, line)
}

func lineOf(err error) int {
	var at *syntax.DecodeError
	if !errors.As(err, &at) {
		return 0
	}
	line, _ := at.Position()
	return line
}

// lines holds the line of each key and table.
type lines map[string]int

// of returns the line of key, or of the table that it stands in.
func (l lines) of(key string) int {
	for {
		if line, ok := l[key]; ok {
			return line
		}
		dot := strings.LastIndex(key, ".")
		if dot < 0 {
			return 0
		}
		key = key[:dot]
	}
}

// linesOf finds the keys of text, which is known to be well-formed. The values come from the parser above it, which does not say where they stood.
func linesOf(text []byte) lines {
	list := lines{}
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = list.add("", e, text) + "."
		case unstable.KeyValue:
			list.add(table, e, text)
		}
	}
	return list
}

// add notes the key of e below a table.
func (l lines) add(table string, e *unstable.Node, text []byte) string {
	var parts []string
	line := 0
	for key := e.Key(); key.Next(); {
		n := key.Node()
		parts = append(parts, string(n.Data))
		line = 1 + bytes.Count(text[:n.Raw.Offset], []byte("\n"))
	}
	name := table + strings.Join(parts, ".")
	l[name] = line
	return name
}
