package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestParseCurve(t *testing.T) {
	const h = 3600
	for in, want := range map[string][]release.Point{
		"now":                   {{Seconds: 0, Share: 1}},
		"linear:48h":            {{Seconds: 0, Share: 0}, {Seconds: 48 * h, Share: 1}},
		"1%@0h, 10%@6h,100%@2d": {{Seconds: 0, Share: 0.01}, {Seconds: 6 * h, Share: 0.1}, {Seconds: 48 * h, Share: 1}},
		"0.5%@90m":              {{Seconds: 5400, Share: 0.005}},
		"1%@0h,1%@6h,10%@6h":    {{Seconds: 0, Share: 0.01}, {Seconds: 6 * h, Share: 0.01}, {Seconds: 6 * h, Share: 0.1}},
		"steps:1%@0h,10%@6h":    {{Seconds: 0, Share: 0.01}, {Seconds: 6 * h, Share: 0.01}, {Seconds: 6 * h, Share: 0.1}},
		"steps:100%@0h":         {{Seconds: 0, Share: 1}},
	} {
		if got, err := parseCurve(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "soon", "10%", "10@6h", "10%@", "10%@6", "101%@0h", "-1%@0h", "NaN%@0h", "10%@-1h", "10%@6h,5%@7h", "10%@6h,20%@5h", "linear:", "linear:x", "10%@1.5d", "10%@1ms",
		"steps:", "10%@6h,", "10%@9999999h",
	} {
		var usage *usageError
		if got, err := parseCurve(in); !errors.As(err, &usage) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func FuzzParseCurve(f *testing.F) {
	f.Add("1%@0h,10%@6h,50%@1d,100%@2d")
	f.Add("steps:1%@0h,10%@6h")
	f.Add("linear:48h")
	f.Fuzz(func(t *testing.T, s string) {
		points, err := parseCurve(s)
		if err != nil {
			var usage *usageError
			if !errors.As(err, &usage) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		r := release.Rollout{Salt: "any", Start: time.Unix(0, 0), Curve: points}
		if err := r.Check(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}
