package command

import (
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"

	"github.com/moult-go/moult/updater"
)

// progress draws events: on a terminal a bar while bytes come in, elsewhere one line a phase.
type progress struct {
	w        io.Writer
	terminal bool
	phase    updater.Phase
	bar      *progressbar.ProgressBar
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: isTerminal(w)} }

func (p *progress) show(e updater.Event) {
	if p.terminal && e.Total > 0 {
		p.draw(e)
		return
	}
	p.end()
	if e.Phase == p.phase && e.Message == "" {
		return // more bytes of the same
	}
	p.phase = e.Phase
	line := string(e.Phase)
	if e.Version != "" {
		line += " " + e.Version
	}
	if e.Total > 0 {
		line += " (" + size(e.Total) + ")"
	}
	if e.Message != "" {
		line += ": " + e.Message
	}
	fmt.Fprintln(p.w, plain(line))
}

func (p *progress) draw(e updater.Event) {
	if p.bar == nil || e.Phase != p.phase {
		p.end()
		p.phase = e.Phase
		p.bar = progressbar.NewOptions64(e.Total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(plain(string(e.Phase)+" "+e.Version)),
			progressbar.OptionShowBytes(true),
			progressbar.OptionSetWidth(24),
			progressbar.OptionClearOnFinish())
	}
	p.bar.Set64(e.Done)
}

// end takes the bar away, so that the next line has its own.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}
