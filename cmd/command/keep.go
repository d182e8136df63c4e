package command

import (
	"context"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (a *alone) Hold(_ context.Context, h updater.Hold) (admin.Held, error) {
	if err := a.u.Hold(h); err != nil {
		return admin.Held{}, err
	}
	return a.held()
}

func (a *alone) Unhold(context.Context) (admin.Held, error) {
	if err := a.u.Unhold(); err != nil {
		return admin.Held{}, err
	}
	return a.held()
}

func (a *alone) held() (admin.Held, error) {
	st, err := a.u.Status()
	return admin.Held{Schema: admin.Schema, Hold: st.Hold}, err
}

func (a *alone) Quarantine(context.Context) (admin.Quarantine, error) {
	st, err := a.u.Status()
	return admin.Quarantine{Schema: admin.Schema, Quarantine: st.Quarantine}, err
}

func (a *alone) Unquarantine(_ context.Context, c admin.Clear) (admin.Quarantine, error) {
	if err := c.Check(); err != nil {
		return admin.Quarantine{}, err
	}
	cleared, err := a.u.Unquarantine(c.Which)
	return admin.Quarantine{Schema: admin.Schema, Quarantine: cleared}, err
}

func (a *alone) History(context.Context) (admin.History, error) {
	list, err := a.u.History()
	return admin.History{Schema: admin.Schema, Attempts: append([]updater.Attempt{}, list...)}, err
}
