package command

import (
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Values of --progress.
const (
	progressAuto  = "auto" // a bar on a terminal, lines elsewhere
	progressPlain = "plain"
	progressJSON  = "json"
	progressNone  = "none"
)

// checkProgress refuses what is none of them.
func checkProgress(mode string) error {
	switch mode {
	case progressAuto, progressPlain, progressJSON, progressNone:
		return nil
	}
	return usage("--progress %q: want auto, plain, json or none", mode)
}

// progress draws events: on a terminal a bar while bytes come in, elsewhere one line a phase, or each as a document on a line.
type progress struct {
	mode     string
	w        io.Writer // for people
	lines    io.Writer // for machines
	terminal bool
	phase    updater.Phase
	bar      *progressbar.ProgressBar
}

func newProgress(cmd *cobra.Command, mode string) *progress {
	w := cmd.ErrOrStderr()
	return &progress{mode: mode, w: w, lines: cmd.OutOrStdout(), terminal: mode == progressAuto && isTerminal(w) && !isDumb()}
}

func (p *progress) show(e updater.Event) {
	switch p.mode {
	case progressJSON:
		printLine(p.lines, admin.Line{Event: &e})
		return
	case progressNone:
		return
	}
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
