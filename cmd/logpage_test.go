package cmd_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated page anew")

// TestLogPage keeps docs/reference/logs.md what a server can log: go test ./cmd -run TestLogPage -update writes it.
func TestLogPage(t *testing.T) {
	lines := map[logLine][]string{}
	for _, dir := range []string{"../grace", "../updater", "../server", "../cmd/command", "../cmd/app"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				return cmp.Or(err, fs.SkipDir)
			}
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				return logLines(path, strings.TrimPrefix(filepath.ToSlash(dir), "../"), lines)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	page := logPage(lines)
	const path = "../docs/reference/logs.md"
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != page {
		t.Errorf("%s is stale (%v): go test ./cmd -run TestLogPage -update", path, err)
	}
	if len(lines) < 60 {
		t.Errorf("only %d messages were found", len(lines))
	}
}

// logLine is a message that a package can log.
type logLine struct{ pkg, level, message string }

// logLines adds those of a file, with their attributes: calls of Debug, Info, Warn and Error of something that is called a log, with a constant message.
func logLines(path, pkg string, lines map[logLine][]string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, sel.Sel.Name) || !isLog(sel.X) || len(call.Args) == 0 {
			return true
		}
		message, ok := constant(call.Args[0])
		if !ok {
			return true
		}
		l := logLine{pkg, strings.ToUpper(sel.Sel.Name), message}
		for i := 1; i < len(call.Args); i += 2 {
			if key, ok := constant(call.Args[i]); ok && !slices.Contains(lines[l], key) {
				lines[l] = append(lines[l], key)
			}
		}
		if lines[l] == nil {
			lines[l] = []string{}
		}
		return true
	})
	return nil
}

// isLog tells a logger by its name: log, p.log, o.Logger, slog.Default().
func isLog(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.Contains(strings.ToLower(x.Name), "log")
	case *ast.SelectorExpr:
		return isLog(x.Sel)
	case *ast.CallExpr:
		sel, ok := x.Fun.(*ast.SelectorExpr)
		return ok && (isLog(sel.X) || isLog(sel.Sel))
	}
	return false
}

func constant(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func logPage(lines map[logLine][]string) string {
	var b strings.Builder
	b.WriteString(`# Log messages

What a server logs, by ` + "`log/slog`" + `: a message is a constant phrase, and what changes from line to line is in attributes. ` + "`--log-format json`" + ` (the default where there is no terminal) has a document on each
line, with ` + "`time`, `level`, `msg`" + ` and the attributes. This page is generated from the code (` + "`TestLogPage`" + `).

Watch for ERROR, and for ` + "`handover undone` and `update not applied`" + `. The lines of a handover or update share ` + "`generation` or `attempt`" + `.
`)
	var keys []logLine
	for l := range lines {
		if l.level != "DEBUG" {
			keys = append(keys, l)
		}
	}
	order := []string{"INFO", "WARN", "ERROR"}
	slices.SortFunc(keys, func(a, b logLine) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(slices.Index(order, a.level), slices.Index(order, b.level)), cmp.Compare(a.message, b.message))
	})
	pkg := ""
	for _, l := range keys {
		if l.pkg != pkg {
			pkg = l.pkg
			fmt.Fprintf(&b, "\n## %s\n\n| level | message | attributes |\n| --- | --- | --- |\n", pkg)
		}
		attributes := ""
		if len(lines[l]) > 0 {
			attributes = "`" + strings.Join(lines[l], "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.level, l.message, attributes)
	}
	return b.String()
}
