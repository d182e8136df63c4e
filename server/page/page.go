package page

import (
	"bytes"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Server is what the page shows.
type Server interface {
	admin.EventSource
	History() ([]updater.Attempt, error)
}

// Place is where a page is mounted: it decides who may see what, and do what.
type Place int

// The places.
const (
	// Public is a listener for everybody: no buttons, no paths, addresses, last words or configuration. Any Host is as good as it is for
	// the service itself.
	Public Place = iota
	// Ops is a listener for operators, of which the network decides who reaches it. Buttons take a token.
	Ops
	// Socket is the admin socket: whoever gets there is the server's user, and may do everything.
	Socket
)

// Options describes a page. Server is needed.
type Options struct {
	Server Server
	Place  Place // default Public
	// Operator carries out what the buttons ask for. Default: nobody, and there are none.
	Operator Operator
	// TokenFile holds what is typed before buttons may be pushed: at least 20 bytes. At Ops there are no buttons without it; a Socket needs none.
	TokenFile string
	// Hosts are names by which the page may be asked for, beside localhost and addresses: "host" or "host:port". Public allows all.
	Hosts []string
	// Logger is told who did what. Default: it is discarded.
	Logger *slog.Logger
}

const (
	// policy lets a page load what is its own, and nothing else happen in it.
	policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	// refreshCalm and refreshBusy are how often a page without script loads itself again, in seconds.
	refreshCalm, refreshBusy = 15, 2
	// noticeLife is how long the end of something stays on the page.
	noticeLife = 15 * time.Minute
)

var templates = template.Must(template.New("").Funcs(functions).ParseFS(files, "page.html"))

// page is a mounted one.
type page struct {
	o        Options
	log      *slog.Logger
	sessions sessions
	now      func() time.Time
	streams  atomic.Int32

	mu       sync.Mutex
	notice   *notice // of what was asked for last
	rendered [2]rendering
	history  []updater.Attempt
	ended    string // ID of the last attempt in history
}

// New returns the page, to be mounted at the root or below a prefix that http.StripPrefix takes away, with a slash at its end: all its links are relative.
func New(o Options) http.Handler {
	p := &page{o: o, log: o.Logger, now: time.Now}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.sessions = sessions{o.TokenFile, func() time.Time { return p.now() }}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /stream", p.stream)
	for _, a := range []asset{style, script, icon} {
		mux.Handle("GET /"+a.name, a)
	}
	if p.operates() {
		p.routeActions(mux)
	}
	var h http.Handler = mux
	if o.Place != Public {
		h = newHosts(o.Hosts, o.Place == Socket).guard(mux)
	}
	return secured(h)
}

// operates reports whether there are buttons at all.
func (p *page) operates() bool {
	return p.o.Operator != nil && (p.o.Place == Socket || p.o.Place == Ops && p.o.TokenFile != "")
}

// secured says on every answer what a browser may make of it. The referrer stays at home, but is not hidden from ourselves: without it, a browser
// would send no Origin either, by which requests of other sites are told from ours where there is no TLS.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// who is the audience that a request comes from.
func (p *page) who(r *http.Request) audience {
	a := audience{Public: p.o.Place == Public, API: p.o.Place == Socket}
	if p.operates() {
		a.Token = p.o.Place == Ops && p.sessions.valid(r)
		a.Buttons = a.Token || p.o.Place == Socket
		a.SignIn = !a.Buttons
	}
	return a
}

// sheet is a whole document: the status, or a question about it.
type sheet struct {
	*view
	Live                         bool // follows the server by itself
	Refresh                      int
	Style, Script, Icon, Edition string
	Question                     any
}

func (p *page) show(w http.ResponseWriter, r *http.Request) {
	s := p.sheet(r)
	s.Live, s.Refresh = true, refreshCalm
	if s.Flow.At != "" {
		s.Refresh = refreshBusy
	}
	p.render(w, http.StatusOK, "page", s)
}

func (p *page) sheet(r *http.Request) sheet {
	return sheet{view: p.look(p.who(r), p.now()), Style: style.name, Script: script.name, Icon: icon.name, Edition: edition}
}

// look is how it stands at this moment; now is zero for a script.
func (p *page) look(who audience, now time.Time) *view {
	st := p.o.Server.Status()
	v := newView(st, p.attempts(st), who, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.notice; n != nil && who.Buttons && p.now().Sub(n.At) < noticeLife {
		v.Notice = n
	}
	return v
}

// attempts reads the history only when there is more of it.
func (p *page) attempts(st admin.Status) []updater.Attempt {
	last := ""
	if st.Updater != nil && st.Updater.Last != nil {
		last = st.Updater.Last.ID
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if last == "" || last == p.ended {
		return p.history
	}
	list, err := p.o.Server.History()
	if err != nil {
		p.log.Warn("the status page cannot read the history", "err", err)
		return p.history
	}
	p.history, p.ended = list, last
	return list
}

// render executes a template and sends it, or says that it cannot.
func (p *page) render(w http.ResponseWriter, code int, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		p.log.Error("render the status page", "err", err)
		http.Error(w, "the page cannot be rendered: the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write([]byte(clean(b.String())))
}
