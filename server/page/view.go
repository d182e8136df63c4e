package page

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// maxHistory is how many attempts are shown.
const maxHistory = 20

// view is what the templates say. All of it comes from one status.
type view struct {
	S    admin.Status
	U    updater.Status // zero if there is no updater
	Now  time.Time      // zero in what is sent to scripts, which count by themselves
	For  audience
	Flow flow

	Generations []generation
	Troubles    []trouble
	History     []updater.Attempt // newest first
	Older       int               // attempts that are not shown
	Notice      *notice
}

// audience is what the one who looks may see and do.
type audience struct {
	Public  bool // withhold what is no stranger's business
	Buttons bool // may push them
	SignIn  bool // may do so after typing the token
	Token   bool // has typed it
	API     bool // the admin API is beside this page
}

// trouble is something that an operator should know before anything else.
type trouble struct {
	Name, Text string
	Since      time.Time
}

// generation is one process of this line.
type generation struct {
	Number      int
	Version     string
	PID         int
	Role        string
	Self        bool
	Known       bool // how many connections it has
	Connections int
	Hijacked    int
	Since       time.Time
	Deadline    time.Time // zero: none, or not known
	Share       int       // of all connections, in percent; of those hijacked ones are Tied
	Tied        int
}

func newView(st admin.Status, history []updater.Attempt, who audience, now time.Time) *view {
	v := &view{S: st, For: who, Now: now, Flow: newFlow(st), Generations: generations(st)}
	if st.Updater != nil {
		v.U = *st.Updater
	}
	v.Troubles = troubles(st)
	for i := len(history) - 1; i >= 0 && len(v.History) < maxHistory; i-- {
		v.History = append(v.History, history[i])
	}
	v.Older = len(history) - len(v.History)
	if who.Public {
		v.withhold()
	}
	return v
}

// withhold takes away what is no stranger's business: paths, addresses, processes, words of builds, operators and errors, and the configuration.
func (v *view) withhold() {
	v.S = admin.Status{App: v.S.App, Version: v.S.Version, Generation: v.S.Generation, State: v.S.State, Since: v.S.Since,
		Connections: v.S.Connections, Handover: v.S.Handover, Updates: admin.Updates{On: v.S.Updates.On}}
	u := v.U
	v.U = updater.Status{Running: u.Running, Channel: u.Channel, LastCheck: u.LastCheck, NextCheck: u.NextCheck, Kept: u.Kept, Quarantine: u.Quarantine}
	if u.Hold != nil {
		v.U.Hold = &updater.Hold{Since: u.Hold.Since, Until: u.Hold.Until}
	}
	for i := range v.Troubles {
		v.Troubles[i].Text = ""
	}
	for i := range v.Generations {
		v.Generations[i].PID = 0
	}
	for i := range v.History {
		v.History[i].Words = ""
	}
}

// Chosen are the settings that somebody chose, wherever; Defaults are the others.
func (v *view) Chosen() []admin.Setting   { return v.settings(false) }
func (v *view) Defaults() []admin.Setting { return v.settings(true) }

func (v *view) settings(byDefault bool) (list []admin.Setting) {
	for _, s := range v.S.Settings {
		if (s.Origin == "default") == byDefault {
			list = append(list, s)
		}
	}
	return list
}

// Dot is how it stands, at a glance: good, busy or bad. The page says the same in words beside it.
func (v *view) Dot() string {
	switch {
	case v.S.State != "serving":
		return "busy"
	case len(v.Troubles) > 0:
		return "bad"
	}
	return "good"
}

// Word is the state in words that somebody understands who does not know those of package grace.
func (v *view) Word() string {
	switch v.S.State {
	case "serving":
		if len(v.Troubles) > 0 {
			return "serving, needs attention"
		}
		return "serving"
	case "handing-over":
		return "serving, and starting its successor"
	case "standby":
		return "standing by"
	case "probation":
		return "serving on probation"
	}
	return v.S.State
}

// Peer is the other process of a handover under way, in words.
func (v *view) Peer() string {
	h := v.S.Handover
	if h == nil || h.Generation == 0 {
		return ""
	}
	who := fmt.Sprintf("Generation %d", h.Generation)
	for _, g := range v.Generations {
		if g.Number == h.Generation && g.Version != "" {
			who += " (" + short(g.Version, maxText) + ")"
		}
	}
	switch v.S.State {
	case "standby":
		return who + " serves on probation. This one takes over again if it fails."
	case "probation":
		return who + " stands by, and takes over again if this one fails."
	case "handing-over":
		return who + " is starting."
	}
	return ""
}

// troubles are what needs somebody, the worst first.
func troubles(st admin.Status) (list []trouble) {
	if st.RestartError != "" {
		list = append(list, trouble{Name: "The last restart was undone", Text: st.RestartError})
	}
	u := st.Updater
	if u == nil {
		if !st.Updates.On && st.Updates.Reason != "" {
			list = append(list, trouble{Name: "Updating is off", Text: st.Updates.Reason})
		}
		return list
	}
	if u.Disk != "" {
		list = append(list, trouble{Name: "The executable on disk", Text: u.Disk})
	}
	if u.Yanked != nil {
		list = append(list, trouble{Name: "The version that runs was withdrawn", Text: u.Yanked.Reason, Since: u.Yanked.Since})
	}
	if len(u.Exposed) > 0 {
		list = append(list, trouble{Name: "Other users may replace the executable", Text: "they may write " + strings.Join(u.Exposed, ", ")})
	}
	for _, t := range u.Expiries {
		if t.EndsSoon {
			list = append(list, trouble{Name: "The feed expires soon", Text: "its publisher has to renew " + t.Role, Since: t.Expires})
		}
	}
	if u.CheckReason == "expired" {
		list = append(list, trouble{Name: "The feed has expired", Text: u.CheckError})
	}
	return list
}

// generations lists this process, the other one of a handover, and those that drain; the newest first.
func generations(st admin.Status) []generation {
	self := generation{Number: st.Generation, Version: st.Version, PID: st.PID, Role: st.State, Self: true, Known: true, Connections: st.Connections, Since: st.Since}
	list := []generation{self}
	if h := st.Handover; h != nil && h.Generation != 0 {
		peer := generation{Number: h.Generation, PID: h.PID, Since: h.Since}
		switch st.State {
		case "probation":
			peer.Role = "standby"
			list = append(list, peer)
		default:
			if peer.Role = "probation"; st.State == "handing-over" {
				peer.Role = "starting"
			}
			list = append([]generation{peer}, list...)
		}
		if u := st.Updater; u != nil && u.Attempt != nil {
			for i := range list {
				if g := &list[i]; g.Number == max(h.Generation, st.Generation) {
					g.Version = u.Attempt.To
				} else {
					g.Version = u.Attempt.From
				}
			}
		}
	}
	for i := len(st.Draining) - 1; i >= 0; i-- {
		d := st.Draining[i]
		list = append(list, generation{Number: d.Generation, PID: d.PID, Role: "draining", Known: true,
			Connections: d.Connections, Hijacked: d.Hijacked, Since: d.Since, Deadline: d.Deadline})
	}
	total := 0
	for _, g := range list {
		total += g.Connections
	}
	for i := range list {
		if total > 0 {
			list[i].Share, list[i].Tied = 100*list[i].Connections/total, 100*list[i].Hijacked/total
		}
	}
	return list
}

// notice is how something ended that was asked for on this page.
type notice struct {
	At    time.Time
	Title string
	Text  string
	Hint  string
	Words string
	Good  bool
}

// functions are what the templates call.
var functions = template.FuncMap{
	"short":  func(s string) string { return short(s, maxText) },
	"words":  words,
	"size":   size,
	"utc":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"rfc":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"milli":  func(t time.Time) int64 { return t.UnixMilli() },
	"away":   away,
	"passed": passed,
	"moment": func(at, now time.Time) moment { return moment{at, now} },
	"key":    func(id string) string { return short(id, 16) },
	"join":   func(list []string) string { return strings.Join(list, ", ") },
}

// moment is a time as the template "ago" takes it.
type moment struct{ At, Now time.Time }

// away is the distance of t from now in words, as the script has it; without now, the time itself.
func away(t, now time.Time) string {
	if now.IsZero() {
		return t.UTC().Format("15:04:05 UTC")
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch s := int64(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%d h", s/3600)
	default:
		return fmt.Sprintf("%d days", s/86400)
	}
}

// passed is how much of the time between two moments is over, in percent.
func passed(since, until, now time.Time) int {
	all := until.Sub(since)
	if now.IsZero() || all <= 0 {
		return 0
	}
	return int(min(100, max(0, 100*now.Sub(since)/all)))
}

func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
