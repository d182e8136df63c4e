package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// drainSlack is how much longer than its deadline a server may take to end.
const drainSlack = 10 * time.Second

// drainDocument is what drain --json prints.
type drainDocument struct {
	admin.Drained
	Ended bool `json:"ended"` // this command has seen it end
}

func (c cli) drain() *cobra.Command {
	var (
		w            where
		delay        time.Duration
		undo, noWait bool
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Stop the running server: let load balancers move on, finish the requests under way, end",
		Long: `Stop the running server. From now on its /readyz fails, so that load balancers move on; after --delay it accepts no more, finishes the requests
under way until its drain deadline, and ends; this command waits for that. Until the delay is over, --undo takes it back. A service
manager that starts again what has ended does so.`,
		Example: c.examples("drain", "drain --delay 15s", "drain --undo"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	fl := cmd.Flags()
	fl.DurationVar(&delay, "delay", 0, "how long it goes on serving while /readyz fails")
	fl.BoolVar(&undo, "undo", false, "take back what was asked for, as long as the delay lasts")
	fl.BoolVar(&noWait, "no-wait", false, "do not wait until it has ended")
	fl.BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		if delay < 0 || undo && delay > 0 {
			return usage("--delay %s: want a delay from now, or --undo", delay)
		}
		t, err := c.running(&w)
		if err != nil {
			return err
		}
		d, err := t.Drain(cmd.Context(), admin.Drain{Delay: admin.Seconds(delay), Undo: undo})
		if err != nil {
			return err
		}
		doc := drainDocument{Drained: d}
		if !undo && !noWait {
			if !asJSON {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s stops at %s\n", c.s.Name, d.StopsAt.Local().Format(time.TimeOnly))
			}
			if err := awaitEnd(cmd.Context(), t, d); err != nil {
				return err
			}
			doc.Ended = true
		}
		return c.printDrained(cmd, doc, asJSON)
	})
	return cmd
}

func awaitEnd(ctx context.Context, t remote, d admin.Drained) error {
	if !d.Deadline.IsZero() {
		var cancel func()
		ctx, cancel = context.WithDeadline(ctx, d.Deadline.Add(drainSlack))
		defer cancel()
	}
	err := t.Stopped(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &admin.Failure{Class: updater.Failed, Reason: "draining", Message: fmt.Sprintf("process %d was to have ended by %s, and has not", d.PID, d.Deadline.Local().Format(time.TimeOnly))}
	}
	return err
}

func (c cli) printDrained(cmd *cobra.Command, d drainDocument, asJSON bool) (err error) {
	out := cmd.OutOrStdout()
	switch {
	case asJSON:
		err = printJSON(out, d)
	case d.Ended:
		_, err = fmt.Fprintf(out, "%s has stopped\n", c.s.Name)
	case d.StopsAt.IsZero():
		_, err = fmt.Fprintf(out, "%s goes on serving\n", c.s.Name)
	default:
		_, err = fmt.Fprintf(out, "%s stops at %s\n", c.s.Name, d.StopsAt.Local().Format(time.TimeOnly))
	}
	return err
}
