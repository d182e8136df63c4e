package admin

import (
	"context"
	"net/http"

	"github.com/moult-go/moult/updater"
)

func (h handler) hold(w http.ResponseWriter, r *http.Request) {
	var hold updater.Hold
	if h.read(w, r, &hold) {
		h.setHold(r.Context(), w, &hold)
	}
}

func (h handler) unhold(w http.ResponseWriter, r *http.Request) {
	if h.read(w, r, &struct{}{}) {
		h.setHold(r.Context(), w, nil)
	}
}

func (h handler) setHold(ctx context.Context, w http.ResponseWriter, hold *updater.Hold) {
	if err := h.b.Hold(ctx, hold); err != nil {
		h.fail(w, err)
		return
	}
	held := Held{Schema: Schema}
	if u := h.b.Status().Updater; u != nil {
		held.Hold = u.Hold
	}
	writeJSON(w, http.StatusOK, held)
}

func (h handler) quarantine(w http.ResponseWriter, _ *http.Request) {
	q := Quarantine{Schema: Schema, Quarantine: []updater.Quarantined{}}
	if u := h.b.Status().Updater; u != nil {
		q.Quarantine = append(q.Quarantine, u.Quarantine...)
	}
	writeJSON(w, http.StatusOK, q)
}

func (h handler) unquarantine(w http.ResponseWriter, r *http.Request) {
	var c Clear
	if !h.read(w, r, &c) {
		return
	}
	err := c.Check()
	q := Quarantine{Schema: Schema}
	if err == nil {
		q.Quarantine, err = h.b.Unquarantine(r.Context(), c.Which)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, q)
}

func (h handler) history(w http.ResponseWriter, _ *http.Request) {
	list, err := h.b.History()
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, History{Schema, append([]updater.Attempt{}, list...)})
}
