package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// change is what upgrade and rollback have in common.
type change struct {
	yes, json bool
	progress  string
}

func (ch *change) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&ch.yes, "yes", false, "do not ask")
	ch.outputFlags(cmd)
}

func (ch *change) outputFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&ch.json, "json", false, "print one JSON document; progress stays on standard error")
	cmd.Flags().StringVar(&ch.progress, "progress", progressAuto, "auto (a bar on a terminal, lines elsewhere), plain, none, or json: a document a line on standard output, the outcome last")
}

// runE refuses what does not go together, and gives a failure the last line of --progress=json.
func (ch *change) runE(c cli, run runFunc) runFunc {
	return c.runE(&ch.json, func(cmd *cobra.Command, args []string) error {
		if err := checkProgress(ch.progress); err != nil {
			return err
		}
		if ch.json && ch.progress == progressJSON {
			return usage("--json is one document, --progress=json is many: choose one")
		}
		err := run(cmd, args)
		if err != nil && ch.progress == progressJSON && !errors.Is(err, errAvailable) {
			f := admin.NewFailure(c.s.Name, "", seeHelp(cmd, err))
			printLine(cmd.OutOrStdout(), admin.Line{Error: f})
			return &shownError{f}
		}
		return err
	})
}

// mayAsk refuses early, before anything is looked up, what would have to ask and cannot.
func (ch *change) mayAsk(cmd *cobra.Command) error {
	if ch.yes || isTerminal(cmd.InOrStdin()) && isTerminal(cmd.ErrOrStderr()) {
		return nil
	}
	return usage("needs --yes, no terminal to ask on")
}

// confirm shows the plan, and asks.
func (ch *change) confirm(cmd *cobra.Command, plan string) error {
	w := cmd.ErrOrStderr()
	fmt.Fprintln(w, plan)
	if ch.yes {
		return nil
	}
	fmt.Fprint(w, "Go ahead? [y/N] ")
	line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return &admin.Failure{Class: updater.Failed, Reason: "declined", Message: "declined: nothing was changed"}
}

// run carries it out and prints the outcome. An interrupt ends an attempt of our own; one of the server's
// goes on.
func (ch *change) run(cmd *cobra.Command, c cli, t target,
	do func(context.Context, admin.Request, func(updater.Event)) (updater.Outcome, error), r admin.Request) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	p := newProgress(cmd, ch.progress)
	out, err := do(ctx, r, p.show)
	p.end()
	if err != nil {
		out, err = lost(ctx, t, err)
	}
	if err != nil {
		return err
	}
	if _, ok := t.(remote); ok && out.Changed && !out.Restarted { // it has no way to hand over
		return &admin.Failure{Class: updater.NotRestarted, Reason: "no-handover", Serving: out.From,
			Message: fmt.Sprintf("%s is installed, and the running server was not restarted", out.To)}
	}
	return ch.print(cmd, c, t, out)
}

func (ch *change) print(cmd *cobra.Command, c cli, t target, out updater.Outcome) error {
	w := cmd.OutOrStdout()
	if ch.json {
		return printJSON(w, outcomeDocument{admin.Schema, out})
	}
	if ch.progress == progressJSON {
		return printLine(w, admin.Line{Result: &out})
	}
	var err error
	switch {
	case !out.Changed && out.Restarted:
		_, err = fmt.Fprintf(w, "%s %s restarted, and serving\n", c.s.Name, out.From)
	case !out.Changed:
		_, err = fmt.Fprintf(w, "%s %s is current\n", c.s.Name, out.From)
	case out.Restarted:
		_, err = fmt.Fprintf(w, "%s %s → %s, and serving\n", c.s.Name, out.From, out.To)
	default:
		_, err = fmt.Fprintf(w, "%s %s → %s; no server was running, nothing was restarted\n", c.s.Name, out.From, out.To)
	}
	return err
}

// current is the outcome of an upgrade that had nothing to do.
func (ch *change) current(cmd *cobra.Command, c cli, t target) error {
	v := t.serving(cmd.Context())
	if v == "" {
		v = c.s.Version
	}
	return ch.print(cmd, c, t, updater.Outcome{From: v, To: v})
}
