package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

const (
	// lookPeriod is how often somebody is asked how an attempt stands whose own stream has ended.
	lookPeriod = 200 * time.Millisecond
	// lookPatience bounds one such question: a successor that is not ready yet lets it wait.
	lookPatience = 5 * time.Second
)

// follow reads the lines of an upgrade or a rollback to the last. If the process that was asked dies before, it learns the end from whoever
// has the socket then.
func (c *Client) follow(ctx context.Context, what string, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	if events == nil {
		events = func(updater.Event) {}
	}
	var last updater.Event
	out, err := c.stream(ctx, what, r, func(e updater.Event) { last = e; events(e) })
	if cut := new(CutError); errors.As(err, &cut) && last.Attempt != "" && ctx.Err() == nil {
		cut.Attempt = last.Attempt
		return c.ended(ctx, last, cut, events)
	}
	return out, err
}

// stream reads lines to the last.
func (c *Client) stream(ctx context.Context, what string, body any, events func(updater.Event)) (updater.Outcome, error) {
	resp, err := c.do(ctx, http.MethodPost, what, body)
	if err != nil {
		if op := new(net.OpError); errors.As(err, &op) && op.Op == "dial" {
			return updater.Outcome{}, fmt.Errorf("ask the server for %s: %w", what, err)
		}
		return updater.Outcome{}, &CutError{Err: err}
	}
	defer resp.Body.Close()
	d := json.NewDecoder(io.LimitReader(resp.Body, maxStream))
	if resp.StatusCode != http.StatusOK {
		return updater.Outcome{}, refusal(what, resp.Status, d)
	}
	for {
		var l admin.Line
		if err := d.Decode(&l); err != nil {
			return updater.Outcome{}, &CutError{Err: err}
		}
		switch {
		case l.Error != nil:
			return updater.Outcome{}, l.Error
		case l.Result != nil:
			return *l.Result, nil
		case l.Event != nil && events != nil:
			events(*l.Event)
		}
	}
}

// ended follows an attempt by its ID, in the status and the history of whoever answers, after the process that told of it is gone.
func (c *Client) ended(ctx context.Context, last updater.Event, cut *CutError, events func(updater.Event)) (updater.Outcome, error) {
	last.Done, last.Total, last.Message = 0, 0, "the process that was asked is gone: asking its successor"
	events(last)
	for last.Message = ""; ; {
		st, err := c.look(ctx)
		if err != nil || st.Updater == nil {
			return updater.Outcome{}, cut
		}
		if a := st.Updater.Attempt; a == nil || a.ID != last.Attempt {
			return c.verdict(ctx, last.Attempt, st, cut)
		}
		if phase := phaseOf(st.Updater.Phase, last.Phase); phase != last.Phase {
			last.Phase = phase
			events(last)
		}
		select {
		case <-time.After(lookPeriod):
		case <-ctx.Done():
			return updater.Outcome{}, cut
		}
	}
}

// look asks for the status, and again while there is a socket on which nobody answers yet.
func (c *Client) look(ctx context.Context) (admin.Status, error) {
	for {
		once, cancel := context.WithTimeout(ctx, lookPatience+Patience)
		st, err := c.Status(once)
		late := once.Err() != nil
		cancel()
		if err == nil || !late || ctx.Err() != nil {
			return st, err
		}
	}
}

// phaseOf is the phase of the flow in which a journal is.
func phaseOf(journal string, otherwise updater.Phase) updater.Phase {
	switch journal {
	case "handing-over":
		return updater.PhaseHandover
	case "probation":
		return updater.PhaseProbation
	case "committing", "committed":
		return updater.PhaseCommit
	}
	return otherwise
}

// verdict is how an attempt has ended, of which st says nothing any more.
func (c *Client) verdict(ctx context.Context, id string, st admin.Status, cut *CutError) (updater.Outcome, error) {
	h, err := c.History(ctx)
	if err != nil {
		return updater.Outcome{}, cut
	}
	i := slices.IndexFunc(h.Attempts, func(a updater.Attempt) bool { return a.ID == id })
	if i < 0 {
		return updater.Outcome{}, admin.NewFailure(st.App, st.Version, &admin.Failure{Class: updater.Failed, Reason: "interrupted",
			Message: "the process that was asked died before it had changed anything"})
	}
	return Ended(st.App, st.Version, h.Attempts[i])
}

// Ended is what Upgrade or Rollback would have returned for an attempt that stands in the history. app is the program, and serving the version
// that serves now.
func Ended(app, serving string, a updater.Attempt) (updater.Outcome, error) {
	if a.Outcome == "committed" && a.Class == "" {
		return updater.Outcome{Attempt: a.ID, Changed: true, From: a.From, To: a.To, Digest: a.Digest, Restarted: serving == a.To}, nil
	}
	f := &admin.Failure{Class: a.Class, Reason: a.Reason, Words: a.Words, Message: fmt.Sprintf("%s %s → %s: %s", a.Kind, a.From, a.To, a.Outcome)}
	if a.Reason != "" && a.Reason != a.Outcome {
		f.Message += ": " + a.Reason
	}
	if f.Class == "" {
		f.Class = updater.Failed
	}
	return updater.Outcome{}, admin.NewFailure(app, serving, f)
}

// restarted is how a restart has ended whose process is gone: it has a successor, or nobody.
func (c *Client) restarted(ctx context.Context, before admin.Status, cut *CutError) (updater.Outcome, error) {
	for {
		st, err := c.look(ctx)
		switch {
		case err != nil:
			return updater.Outcome{}, cut
		case st.State == "serving" && st.Instance == before.Instance && st.Generation > before.Generation:
			return updater.Outcome{Changed: st.Version != before.Version, From: before.Version, To: st.Version, Restarted: true}, nil
		case st.State == "serving" && st.PID == before.PID:
			return updater.Outcome{}, cut
		case st.State == "serving":
			return updater.Outcome{}, admin.NewFailure(st.App, st.Version, &admin.Failure{Class: updater.Failed, Reason: "interrupted",
				Message: "the server died during the restart, and was started anew"})
		}
		select {
		case <-time.After(lookPeriod):
		case <-ctx.Done():
			return updater.Outcome{}, cut
		}
	}
}
