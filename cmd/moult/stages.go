package main

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/moult-go/moult/release/tuf"
)

// stages shows how far steps have come that work on several files side by side: on a terminal one bar for each step, elsewhere a
// line for each step and file, with --json nothing.
type stages struct {
	w        io.Writer
	quiet    bool
	terminal bool
	stage    tuf.Stage
	files    map[string]tuf.Progress // of this stage
	bar      *progressbar.ProgressBar
}

func newStages(cmd *cobra.Command) *stages {
	f, ok := cmd.ErrOrStderr().(*os.File)
	return &stages{w: cmd.ErrOrStderr(), quiet: wantsJSON(cmd), terminal: ok && term.IsTerminal(int(f.Fd()))}
}

func (s *stages) show(p tuf.Progress) {
	if s.quiet {
		return
	}
	if p.Stage != s.stage {
		s.end()
		s.stage, s.files = p.Stage, map[string]tuf.Progress{}
	}
	_, known := s.files[p.File]
	s.files[p.File] = p
	switch {
	case s.terminal:
		s.draw()
	case !known:
		fmt.Fprintf(s.w, "%s %s (%s)\n", p.Stage, p.File, sizeText(p.Total))
	}
}

// draw sums the files up.
func (s *stages) draw() {
	var done, total int64
	for _, p := range s.files {
		done, total = done+p.Done, total+p.Total
	}
	if s.bar == nil {
		s.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(s.w),
			progressbar.OptionSetDescription(string(s.stage)),
			progressbar.OptionShowBytes(true),
			progressbar.OptionSetWidth(24),
			progressbar.OptionClearOnFinish())
	}
	s.bar.ChangeMax64(max(total, 1))
	s.bar.Set64(done)
}

// end takes the bar away, so that the next line has its own.
func (s *stages) end() {
	if s.bar != nil {
		s.bar.Finish()
		s.bar = nil
	}
}
