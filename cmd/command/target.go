package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// lockPatience is how long a command waits for the update lock before it says busy.
const lockPatience = 2 * time.Second

// target carries out what a command asks for: a running server, or this process alone.
type target interface {
	checker
	Upgrade(context.Context, admin.Request, func(updater.Event)) (updater.Outcome, error)
	Rollback(context.Context, admin.Request, func(updater.Event)) (updater.Outcome, error)
	Hold(context.Context, updater.Hold) (admin.Held, error)
	Unhold(context.Context) (admin.Held, error)
	Quarantine(context.Context) (admin.Quarantine, error)
	Unquarantine(context.Context, admin.Clear) (admin.Quarantine, error)
	History(context.Context) (admin.History, error)
	// serving is the version that serves, "" if none does.
	serving(context.Context) string
	close() error
}

// target finds the running server; if there is none, it opens the updater, and takes the lock when the command
// is to change something. source is nil for a command that looks nowhere.
func (c cli) target(cmd *cobra.Command, w *where, source *sourceFlags, change bool) (target, error) {
	running, err := w.server()
	if err != nil {
		return nil, err
	}
	if running != nil {
		if source != nil && source.given() {
			fmt.Fprintln(cmd.ErrOrStderr(), "the running server looks where it was told to; the flags that name a source are for when there is none")
		}
		return c.remote(running, w), nil
	}
	s := c.s
	s.StateDir = w.stateDir
	if source != nil {
		if err := source.apply(&s); err != nil {
			return nil, err
		}
	}
	return newAlone(s, change)
}

// remote is a running server.
type remote struct {
	*client.Client
	disk func() (*alone, error) // what it leaves behind
}

func (c cli) remote(cl *client.Client, w *where) remote {
	return remote{cl, func() (*alone, error) {
		s := c.s
		s.StateDir = w.stateDir
		return newAlone(s, false)
	}}
}

// serving asks again, after whatever happened.
func (r remote) serving(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*client.Patience)
	defer cancel()
	st, err := r.Status(ctx)
	if err != nil {
		return ""
	}
	return st.Version
}

func (remote) close() error { return nil }

// alone is this process, with no server to restart.
type alone struct {
	app string
	u   *updater.Updater
}

func newAlone(s server.Service, change bool) (*alone, error) {
	u, err := updater.New(updater.Options{
		Name: s.Name, Version: s.Version, Source: s.Source, Channel: s.Channel, Constraint: s.Constraint, Windows: s.Windows,
		Disabled: s.Disabled, IgnorePackageManager: s.IgnorePackageManager,
		StateDir: s.StateDir, Logger: s.Logger, ReplaceFirst: s.ReplaceFirst,
	})
	if err != nil {
		return nil, packageOwned(s, err)
	}
	a := &alone{app: s.Name, u: u}
	if !change {
		return a, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	if err := u.Lock(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// packageOwned is err, or what to type instead where a package manager has put the executable: often there is no place for an updater then.
func packageOwned(s server.Service, err error) error {
	var refused *updater.Error
	if !errors.As(err, &refused) || refused.Class != updater.Permission || s.IgnorePackageManager {
		return err
	}
	exe, findErr := executable()
	if findErr != nil {
		return err
	}
	if owned := updater.PackageOwned(context.Background(), exe); owned != nil {
		return owned
	}
	return err
}

func (a *alone) Check(ctx context.Context, r admin.Request) (admin.Check, error) {
	found, err := a.u.Check(ctx, a.request(r, nil))
	if err != nil {
		return admin.Check{}, err
	}
	c := admin.NewCheck(a.app, found)
	if c.Stop != nil {
		c.Stop.Serving = ""
	}
	return c, nil
}

func (a *alone) Upgrade(ctx context.Context, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	return a.u.Upgrade(ctx, a.request(r, events))
}

func (a *alone) Rollback(ctx context.Context, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	return a.u.Rollback(ctx, a.request(r, events))
}

func (a *alone) request(r admin.Request, events func(updater.Event)) updater.Request {
	return updater.Request{Version: r.Version, Force: r.Force, Patient: r.Patient, NoQuarantine: r.NoQuarantine, Manual: true, Events: events,
		By: self()}
}

func (a *alone) serving(context.Context) string { return "" }

func (a *alone) close() error { return a.u.Unlock() }

// lost turns a connection that broke off for good into what the disk says of the attempt, or into a failure that says how things stand.
func lost(ctx context.Context, t target, err error) (updater.Outcome, error) {
	var cut *client.CutError
	if !errors.As(err, &cut) {
		return updater.Outcome{}, err
	}
	f := &admin.Failure{Class: updater.Failed, Reason: "connection-lost", Message: cut.Error(), Serving: t.serving(ctx)}
	r, ok := t.(remote)
	if !ok || f.Serving != "" || cut.Attempt == "" {
		return updater.Outcome{}, f
	}
	a, err := r.disk()
	if err != nil {
		return updater.Outcome{}, f
	}
	return a.ended(cut.Attempt, f)
}

// ended is how an attempt ended whose server is gone; f is what is said if the disk says nothing.
func (a *alone) ended(id string, f *admin.Failure) (updater.Outcome, error) {
	list, err := a.u.History()
	if err != nil {
		return updater.Outcome{}, f
	}
	for _, one := range list {
		if one.ID == id {
			return client.Ended(a.app, "", one)
		}
	}
	f.Reason, f.Hint = "interrupted", fmt.Sprintf("no server is running; the next one serves what is installed: %s serve", a.app)
	return updater.Outcome{}, f
}
