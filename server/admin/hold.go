package admin

import (
	"context"
	"net/http"

	"github.com/moult-go/moult/updater"
)

func (h handler) hold(w http.ResponseWriter, r *http.Request) {
	var hold updater.Hold
	if h.read(w, r, &hold) {
		if by := AskerOf(r.Context()); hold.By == "" && by != nil {
			hold.By = by.String()
		}
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
