// Command promql names the metrics that files of alert rules (.yml) and Grafana dashboards (.json) use, one a line. It is a module of its own, since
// Prometheus' parser brings much with it that nothing else here needs.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	log.SetFlags(0)
	names := map[string]bool{}
	for _, file := range os.Args[1:] {
		if err := metricsOf(file, names); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Println(name)
	}
}

func metricsOf(file string, names map[string]bool) error {
	read := rules
	if strings.HasSuffix(file, ".json") {
		read = dashboard
	}
	exprs, err := read(file)
	if err != nil {
		return err
	}
	for _, text := range exprs {
		expr, err := newParser().ParseExpr(text)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				names[nameOf(v)] = true
			}
			return nil
		})
	}
	return nil
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

func nameOf(v *parser.VectorSelector) string {
	for _, m := range v.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return v.Name
}

func rules(file string) ([]string, error) {
	groups, errs := rulefmt.ParseFile(file, false, model.LegacyValidation, newParser(), slog.Default())
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	var exprs []string
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			exprs = append(exprs, r.Expr)
		}
	}
	return exprs, nil
}

// variables are those that Grafana fills in.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h")

func dashboard(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc any
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	exprs := exprsIn(doc)
	if len(exprs) == 0 {
		return nil, errors.New("no expression in it")
	}
	return exprs, nil
}

// exprsIn finds every "expr", wherever it stands.
func exprsIn(doc any) (list []string) {
	switch doc := doc.(type) {
	case []any:
		for _, one := range doc {
			list = append(list, exprsIn(one)...)
		}
	case map[string]any:
		for key, value := range doc {
			if text, ok := value.(string); ok && key == "expr" {
				list = append(list, variables.Replace(text))
			} else {
				list = append(list, exprsIn(value)...)
			}
		}
	}
	return list
}
