package page

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Operator carries out what the buttons ask for. An admin.Backend is one.
type Operator interface {
	Check(ctx context.Context, r admin.Request) (admin.Check, error)
	Change(ctx context.Context, rollback bool, r admin.Request, events func(updater.Event)) (updater.Outcome, error)
	Hold(ctx context.Context, h *updater.Hold) error
}

const (
	// maxForm bounds the body of a form in bytes.
	maxForm = 8 << 10
	// checkPatience bounds a check for which somebody waits.
	checkPatience = 30 * time.Second
	// headStart is how long an upgrade may take to show that it has begun, or why not, before the page is shown again.
	headStart = 300 * time.Millisecond
)

// question asks whether somebody is sure. Each button leads to one first, so that nothing happens by a slip.
type question struct {
	Action  string // upgrade, rollback, hold, unhold, signin
	Check   *admin.Check
	Kept    []updater.Kept
	Problem *notice
}

// routeActions mounts the buttons. All of them are POST: a GET is answered 405, and changes nothing.
func (p *page) routeActions(mux *http.ServeMux) {
	for name, ask := range map[string]func(*http.Request) question{
		"upgrade": p.askUpgrade, "rollback": p.askRollback,
		"hold":   func(*http.Request) question { return question{Action: "hold"} },
		"unhold": func(*http.Request) question { return question{Action: "unhold"} },
	} {
		act := map[string]func(http.ResponseWriter, *http.Request){"upgrade": p.upgrade, "rollback": p.rollback, "hold": p.hold, "unhold": p.unhold}[name]
		mux.HandleFunc("POST /"+name, p.permitted(func(w http.ResponseWriter, r *http.Request) {
			if r.PostForm.Get("confirm") == "yes" {
				act(w, r)
				return
			}
			p.ask(w, r, http.StatusOK, ask(r))
		}))
	}
	if p.o.Place == Ops {
		mux.HandleFunc("POST /signin", p.signIn)
		mux.HandleFunc("POST /signout", p.signOut)
	}
}

// permitted lets those through who may push buttons, and asks others for the token.
func (p *page) permitted(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.form(w, r) {
			return
		}
		if !p.who(r).Buttons {
			p.ask(w, r, http.StatusForbidden, question{Action: "signin"})
			return
		}
		next(w, r)
	}
}

func (p *page) form(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return false
	}
	return true
}

func (p *page) ask(w http.ResponseWriter, r *http.Request, code int, q question) {
	s := p.sheet(r)
	s.Question = q
	p.render(w, code, "page", s)
}

// back shows the page again, by GET. The address is relative, since this handler does not know where it is mounted.
func back(w http.ResponseWriter) {
	w.Header().Set("Location", "./")
	w.WriteHeader(http.StatusSeeOther)
}

func (p *page) signIn(w http.ResponseWriter, r *http.Request) {
	if !p.form(w, r) {
		return
	}
	typed := r.PostForm.Get("token")
	if typed == "" {
		p.ask(w, r, http.StatusOK, question{Action: "signin"})
		return
	}
	ok, err := p.sessions.open(w, r, typed)
	switch {
	case err != nil:
		p.log.Error("sign in to the status page", "err", err)
		p.ask(w, r, http.StatusInternalServerError, question{Action: "signin", Problem: &notice{Title: "The token file cannot be used", Text: "The log says why."}})
	case !ok:
		p.log.Warn("a wrong token was typed on the status page", "from", r.RemoteAddr)
		p.ask(w, r, http.StatusForbidden, question{Action: "signin", Problem: &notice{Title: "That is not the token"}})
	default:
		p.log.Info("signed in to the status page", "from", r.RemoteAddr)
		back(w)
	}
}

func (p *page) signOut(w http.ResponseWriter, r *http.Request) {
	p.sessions.close(w, r)
	back(w)
}

// askUpgrade looks what there is before it asks.
func (p *page) askUpgrade(r *http.Request) question {
	ctx, cancel := context.WithTimeout(r.Context(), checkPatience)
	defer cancel()
	q := question{Action: "upgrade"}
	c, err := p.o.Operator.Check(ctx, admin.Request{})
	if err != nil {
		q.Problem = p.failure("The check found nothing", err)
	} else {
		q.Check = &c
	}
	return q
}

func (p *page) askRollback(*http.Request) question {
	q := question{Action: "rollback"}
	if u := p.o.Server.Status().Updater; u != nil {
		q.Kept = u.Kept
	}
	return q
}

func (p *page) upgrade(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, false, "The upgrade")
}

func (p *page) rollback(w http.ResponseWriter, r *http.Request) {
	kept := p.askRollback(r).Kept
	version := r.PostForm.Get("version")
	if !slices.ContainsFunc(kept, func(k updater.Kept) bool { return k.Version == version }) {
		p.ask(w, r, http.StatusConflict, question{Action: "rollback", Kept: kept, Problem: &notice{Title: "That version is not kept here"}})
		return
	}
	p.change(w, r, true, "The rollback")
}

// change begins an attempt, which lives longer than the request, and on success longer than this process.
func (p *page) change(w http.ResponseWriter, r *http.Request, rollback bool, what string) {
	req := admin.Request{Version: r.PostForm.Get("version"), By: by(r)}
	p.log.Info("asked on the status page", "what", r.URL.Path, "version", req.Version, "by", req.By.String())
	p.say(nil)
	ctx, begun, ended := context.WithoutCancel(r.Context()), make(chan struct{}, 1), make(chan struct{})
	go func() { // ends with the attempt, for which this process waits before it leaves
		defer close(ended)
		out, err := p.o.Operator.Change(ctx, rollback, req, func(e updater.Event) {
			if e.Phase != updater.PhaseCheck {
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
		switch {
		case err != nil:
			p.say(p.failure(what+" did not go through", err))
		case !out.Changed:
			p.say(&notice{At: p.now(), Good: true, Title: out.To + " is current", Text: "There was nothing to do."})
		default:
			p.say(&notice{At: p.now(), Good: true, Title: out.From + " → " + out.To})
		}
	}()
	select {
	case <-begun:
	case <-ended:
	case <-time.After(headStart):
	}
	back(w)
}

// holds are the choices of how long updates are held, in hours; 0: until it is lifted.
var holds = map[string]time.Duration{"": 0, "8": 8 * time.Hour, "72": 72 * time.Hour}

func (p *page) hold(w http.ResponseWriter, r *http.Request) {
	hours, ok := holds[r.PostForm.Get("hours")]
	if !ok {
		http.Error(w, "hours: want 8, 72 or none", http.StatusBadRequest)
		return
	}
	h := &updater.Hold{Reason: short(r.PostForm.Get("reason"), maxText), By: by(r).String()}
	if hours > 0 {
		h.Until = p.now().Add(hours).Truncate(time.Second)
	}
	p.setHold(w, r, h, "Updates are held")
}

func (p *page) unhold(w http.ResponseWriter, r *http.Request) {
	p.setHold(w, r, nil, "Updates go on")
}

func (p *page) setHold(w http.ResponseWriter, r *http.Request, h *updater.Hold, done string) {
	p.log.Info("asked on the status page", "what", r.URL.Path, "by", by(r).String())
	if err := p.o.Operator.Hold(r.Context(), h); err != nil {
		p.say(p.failure("The hold was not changed", err))
	} else {
		p.say(&notice{At: p.now(), Good: true, Title: done})
	}
	back(w)
}

// say puts a notice on the page, in place of the one before.
func (p *page) say(n *notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notice = n
	p.rendered = [2]rendering{}
}

// failure is an error as the command line tells it: what, what serves now, what to type next.
func (p *page) failure(title string, err error) *notice {
	var f *admin.Failure
	if !errors.As(err, &f) || f.Hint == "" {
		st := p.o.Server.Status()
		f = admin.NewFailure(st.App, st.Version, err)
	}
	return &notice{At: p.now(), Title: title, Text: f.Message, Hint: f.Hint, Words: f.Words}
}

// nobody is not a user of this host.
const nobody = -1

// by is who pushed a button, for the history: on the admin socket the user that the kernel names, else where the browser is.
func by(r *http.Request) *updater.Asker {
	if a := admin.AskerOf(r.Context()); a != nil {
		return a
	}
	return &updater.Asker{UID: nobody, User: "status page, " + hostname(r.RemoteAddr)}
}
