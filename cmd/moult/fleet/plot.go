package fleet

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// Plot is a picture of lines over time.
type Plot struct {
	Name   string // of its file, without .svg
	Title  string
	X, Y   string // what the axes measure
	Most   float64
	Least  float64 // of a logarithmic Y; 0: it is linear from 0
	Hours  float64 // X goes from 0 to this
	Series []Series
}

// Series is one line: its values at equal distances from the beginning to Plot.Hours.
type Series struct {
	Name string
	Y    []float64
}

// Where things are, in pixels.
const (
	width, height = 760, 400
	left, right   = 70, 190
	top, bottom   = 44, 50
)

// colours of the lines, for a light and for a dark page.
var colours = [][2]string{{"#0b62c4", "#6cb2ff"}, {"#c2410c", "#ff9b5e"}, {"#15803d", "#62d48a"}, {"#9333ea", "#c99bff"}, {"#57534e", "#c7c2bc"}}

// SVG draws the plot. It is read on a light page and on a dark one, and has no parts elsewhere.
func (p Plot) SVG() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", width, height, html.EscapeString(p.Title))
	b.WriteString("<style>\ntext{font:13px system-ui,sans-serif;fill:#222}.g{stroke:#8885;stroke-width:1}path{fill:none;stroke-width:2}\n")
	for i, c := range colours {
		fmt.Fprintf(&b, ".c%d{stroke:%s}", i, c[0])
	}
	b.WriteString("\n@media(prefers-color-scheme:dark){text{fill:#ddd}")
	for i, c := range colours {
		fmt.Fprintf(&b, ".c%d{stroke:%s}", i, c[1])
	}
	b.WriteString("}\n</style>\n")
	text(&b, left, 22, "start", p.Title)
	text(&b, (left+width-right)/2, height-10, "middle", p.X)
	text(&b, 6, top-8, "start", p.Y)
	p.grid(&b)
	for i, s := range p.Series {
		fmt.Fprintf(&b, `<path class="c%d" d="%s"/>`+"\n", i%len(colours), p.line(s.Y))
		y := top + 14 + 22*i
		fmt.Fprintf(&b, `<path class="c%d" d="M%d %dh20"/>`+"\n", i%len(colours), width-right+12, y-4)
		text(&b, width-right+38, y, "start", s.Name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func text(b *bytes.Buffer, x, y int, anchor, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
}

func (p Plot) grid(b *bytes.Buffer) {
	for i := range 5 {
		h := p.Hours * float64(i) / 4
		x := int(p.x(float64(i) / 4))
		fmt.Fprintf(b, `<path class="g" d="M%d %dV%d"/>`+"\n", x, top, height-bottom)
		text(b, x, height-bottom+18, "middle", fmt.Sprintf("%g", h))
	}
	tick := func(v float64) {
		fmt.Fprintf(b, `<path class="g" d="M%d %.0fH%d"/>`+"\n", left, p.y(v), width-right)
		text(b, left-8, int(p.y(v))+4, "end", short(v))
	}
	if p.Least == 0 {
		for i := range 5 {
			tick(p.Most * float64(i) / 4)
		}
		return
	}
	for v := p.Least; v < p.Most*1.01; v *= 10 {
		tick(v)
	}
}

// short writes 20000 as 20k.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

func (p Plot) x(part float64) float64 { return left + part*(width-left-right) }

func (p Plot) y(v float64) float64 {
	part := v / p.Most
	if p.Least > 0 {
		part = math.Log(max(v, p.Least)/p.Least) / math.Log(p.Most/p.Least)
	}
	return height - bottom - min(part, 1)*(height-top-bottom)
}

// line is a path of no more than a few hundred points; where a point stands for several values it is the highest of them.
func (p Plot) line(values []float64) string {
	const most = 240
	step := max(1, (len(values)+most-1)/most)
	var d strings.Builder
	op := 'M'
	for i := 0; i < len(values); i += step {
		v := values[i]
		for _, w := range values[i:min(i+step, len(values))] {
			v = max(v, w)
		}
		fmt.Fprintf(&d, "%c%.0f %.1f", op, p.x(float64(i)/float64(max(len(values)-1, 1))), p.y(v))
		op = 'L'
	}
	return d.String()
}
