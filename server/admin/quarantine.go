package admin

import (
	"net/http"

	"github.com/moult-go/moult/updater"
)

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
	h.reply(w, q, err)
}
