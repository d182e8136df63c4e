package fleet

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPlots: each is well-formed, names all lines, and draws them inside of its frame.
func TestPlots(t *testing.T) {
	s := Study{Rollout: Rollout{Fleet: Fleet{Hosts: 300, Seed: 1, Edges: 3, MaxAge: time.Minute}, Until: 96 * time.Hour},
		Curves: Curves(), Intervals: []time.Duration{6 * time.Hour}, MaxAges: []time.Duration{time.Minute}, Refresh: time.Hour}
	f, err := s.Run(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	point := regexp.MustCompile(`[ML]([0-9.]+) ([0-9.]+)`)
	for _, p := range f.Plots() {
		svg := string(p.SVG())
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
		}
		for _, line := range p.Series {
			if len(line.Y) < 100 || !strings.Contains(svg, ">"+line.Name+"<") {
				t.Errorf("%s: %s has %d points, or no name", p.Name, line.Name, len(line.Y))
			}
		}
		for _, xy := range point.FindAllStringSubmatch(svg, -1) {
			x, errX := strconv.ParseFloat(xy[1], 64)
			y, errY := strconv.ParseFloat(xy[2], 64)
			if errX != nil || errY != nil || x < left || x > width || y < top-1 || y > height-bottom+1 {
				t.Errorf("%s: a point at %s", p.Name, xy[0])
			}
		}
		if len(p.Series) < 3 {
			t.Errorf("%s: %d lines", p.Name, len(p.Series))
		}
	}
}
