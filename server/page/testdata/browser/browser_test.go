package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a tab of a real Chromium. It writes down what it asks for and complains about.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	requests   map[string]bool
	complaints []string
}

// chromium starts the browser, or skips. The name ops.test leads to this host, and has no TLS: what browsers send to such names is less.
func chromium(t *testing.T) context.Context {
	t.Helper()
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			exe = path
			break
		}
	}
	if exe == "" {
		t.Skip("no chromium")
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("host-resolver-rules", "MAP ops.test 127.0.0.1"),
		chromedp.Flag("disable-dev-shm-usage", true))...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", exe, err)
	}
	return ctx
}

func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, requests: map[string]bool{}}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	b.run(chromedp.EmulateViewport(1280, 900))
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests[e.Request.URL] = true
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console %s: %v", e.Type, e.Args))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
	case *log.EventEntryAdded: // violations of the policy come here
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	}
}

// run does steps, for no longer than a step should take.
func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// click pushes what a selector finds.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

func (b *tab) see(selector string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(chromedp.CSS(selector)))
}

func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// call runs one command of the protocol.
func call[P, R any](b *tab, c cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.t.Fatal(err)
	}
}

// js evaluates an expression.
func js[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%.100s: %v", expression, err)
	}
	return v
}

func (b *tab) do(script string) {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](script))
}

// wait polls an expression until it is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // between two looks
		if is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && is { // else the page may be on its way to another
			return
		}
		if time.Now().After(end) {
			b.shot("failed")
			b.t.Fatalf("waited in vain for %s; the page says:\n%s", expression, js[string](b, "document.body.innerText"))
		}
	}
}

// shot takes a picture of the whole page, if somebody wants to see it.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("MOULT_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) scheme(dark bool) {
	b.t.Helper()
	value := "light"
	if dark {
		value = "dark"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
}

// quiet fails if the browser complained, or asked for anything that is not the page's.
func (b *tab) quiet(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the browser complains: %s", c)
	}
	for r := range b.requests {
		if u, err := url.Parse(r); err != nil || u.Scheme+"://"+u.Host != origin {
			b.t.Errorf("it asked for %s", r)
		}
	}
}

const (
	patience = 30 * time.Second
	// sure is the button that answers a question.
	sure = "input[name=confirm] ~ button"
)

const generation = `document.getElementById('now').dataset.generation`

// TestPage: a restart and an upgrade by the button, seen in one tab that is never loaded again by itself.
func TestPage(t *testing.T) {
	browser := chromium(t)
	l := newLine(t)
	old, good, bad := build(t, filepath.Join(l.dir, "old"), "1.0.0", ""), build(t, filepath.Join(l.dir, "good"), "1.1.0", ""), build(t, filepath.Join(l.dir, "bad"), "1.2.0", "crashy")
	l.serve(old)
	l.drop(good, "1.1.0")
	origin := "http://" + l.ops
	b := newTab(t, browser)
	b.run(chromedp.Navigate(origin + "/"))
	b.wait(`document.getElementById('link').textContent === 'live'`)
	b.shot("1-serving")
	t.Log("the first load: " + js[string](b, `(() => { const l = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].filter((e) => !e.name.endsWith('/stream'));
		return l.map((e) => (e.name.split('/').pop() || 'page') + ' ' + e.encodedBodySize).join(', ') + ' bytes' })()`))

	// A hot restart: the page hops, the marker stays.
	b.do(`window.marker = 1; document.querySelector('footer a').id = 'held'; document.getElementById('held').focus(); scrollTo(0, 120)`)
	l.hold()
	l.hangup()
	b.wait(`document.querySelector('[aria-current=step]')?.textContent.startsWith('probation')`)
	b.shot("2-probation")
	b.wait(generation + ` === '2'`)
	b.wait(`document.body.classList.contains('hopped')`)
	b.wait(`document.getElementById('said').textContent.includes('generation 2')`)
	b.wait(`document.getElementById('now').innerText.includes('serving') && document.querySelector('[aria-current=step]')?.textContent.startsWith('drain')`)
	b.shot("3-hopped-and-draining")
	if got := js[string](b, `[window.marker, document.activeElement.id, scrollY > 0].join()`); got != "1,held,true" {
		t.Errorf("after the hop: marker, focus, scrolled: %s", got)
	}

	// The buttons: a token first, then a question, then it happens.
	b.click("#do-signin")
	b.see("input[name=token]")
	b.shot("4-sign-in")
	b.write("input[name=token]", token+"\r")
	b.see("#do-upgrade")
	if cookie := js[string](b, "document.cookie"); cookie != "" {
		t.Errorf("scripts see the cookie %s", cookie)
	}
	b.click("#do-upgrade")
	b.see(sure)
	b.shot("5-upgrade-question")
	b.click(sure)
	b.see("#do-upgrade")
	b.do(`window.marker = 2; document.getElementById('do-hold').focus()`)
	b.wait(`document.querySelector('[aria-current=step]')?.textContent.startsWith('probation')`)
	b.shot("6-upgrade-on-probation")
	b.wait(generation + ` === '3' && document.getElementById('what').innerText.includes('1.1.0') && document.querySelector('#history .committed')`)
	if got := js[string](b, `[window.marker, document.activeElement.id, document.title].join()`); got != "2,do-hold,app 1.1.0 · serving" {
		t.Errorf("after the upgrade: marker, focus, title: %s", got)
	}

	// A build that crashes on probation: the page stays, and says why.
	l.drop(bad, "1.2.0")
	b.click("#do-upgrade")
	b.click(sure)
	b.wait(`document.querySelector('#notice pre') && document.querySelector('#flow .failed') && document.querySelector('#history .rolled-back') && ` + generation + ` === '3'`)
	b.do(`document.querySelector('#history summary').click()`)
	b.shot("7-rolled-back")

	for _, dark := range []bool{false, true} {
		b.scheme(dark)
		scheme := map[bool]string{false: "light", true: "dark"}[dark]
		for _, width := range []int64{1280, 360} {
			b.run(chromedp.EmulateViewport(width, 800))
			b.shot(fmt.Sprintf("8-%s-%d", scheme, width))
			if over := js[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s, %d wide: %d pixels too wide", scheme, width, over)
			}
			if pale := js[string](b, contrast); pale != "" {
				t.Errorf("%s, %d wide: too little contrast: %s", scheme, width, pale)
			}
		}
	}
	b.scheme(false)
	b.run(chromedp.EmulateViewport(1280, 900))
	if wrong := js[string](b, structure); wrong != "" {
		t.Errorf("structure: %s", wrong)
	}

	// By the keyboard alone, in the order of the page.
	b.run(chromedp.Navigate(origin + "/"))
	b.see("#do-upgrade")
	var order []string
	for len(order) < 30 && (len(order) == 0 || !strings.HasPrefix(order[len(order)-1], "plain")) { // the last is the button to sign out
		b.run(chromedp.KeyEvent("\t"))
		order = append(order, js[string](b, `(() => { const e = document.activeElement, s = getComputedStyle(e);
			return (e.id || e.className || e.tagName.toLowerCase()) + (s.outlineStyle === 'none' || parseFloat(s.outlineWidth) < 2 ? ' unseen' : '') })()`))
	}
	keys := strings.Join(order, ", ")
	if !strings.HasPrefix(keys, "skip, home, ") || !strings.Contains(keys, "do-upgrade, do-rollback, do-hold, summary") || strings.Contains(keys, "unseen") {
		t.Errorf("tab order: %s", keys)
	}
	b.quiet(origin)
}

// TestWithoutScript: all of it, by forms and links.
func TestWithoutScript(t *testing.T) {
	browser := chromium(t)
	l := newLine(t)
	l.serve(build(t, filepath.Join(l.dir, "old"), "1.0.0", ""))
	for _, origin := range []string{"http://" + l.ops, "http://ops.test" + l.ops[strings.LastIndex(l.ops, ":"):]} {
		b := newTab(t, browser)
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		b.run(chromedp.Navigate(origin + "/"))
		b.click("#do-signin")
		b.write("input[name=token]", token+"\r")
		b.click("#do-hold")
		b.write("input[name=reason]", "fair tomorrow\r")
		b.see(".held")
		b.shot("9-held-without-script")
		if st, err := l.status(); err != nil || st.Updater.Hold == nil || st.Updater.Hold.Reason != "fair tomorrow" {
			t.Errorf("%s: %+v, %v", origin, st.Updater, err)
		}
		b.click("#do-hold")
		b.click(sure)
		b.run(chromedp.WaitNotPresent(chromedp.CSS(".held")))
		b.see("#do-hold")
		// It loads itself again: the generation changes without a hand on it.
		before, err := l.status()
		if err != nil {
			t.Fatal(err)
		}
		l.hangup()
		b.see(fmt.Sprintf(`#now[data-generation="%d"]`, before.Generation+1))
		b.quiet(origin)
	}
}

// TestPublicPage: below the path that was asked for, for strangers.
func TestPublicPage(t *testing.T) {
	browser := chromium(t)
	l := newLine(t)
	l.serve(build(t, filepath.Join(l.dir, "old"), "1.0.0", ""))
	origin := "http://" + l.public
	b := newTab(t, browser)
	b.run(chromedp.Navigate(origin + "/status"))
	b.wait(`document.getElementById('link').textContent === 'live'`)
	b.shot("10-public")
	if n := js[int](b, `document.querySelectorAll('form, button, #configuration, #feed').length`); n != 0 {
		t.Errorf("%d things that are no stranger's business", n)
	}
	l.hangup()
	b.wait(generation + ` === '2'`)
	b.quiet(origin)
}

// contrast returns texts with less than 4.5:1 against what is behind them, by WCAG's formula.
const contrast = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return { rgb: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 } };
	const lum = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c.rgb } return [255, 255, 255] };
	const pale = [];
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.nodeValue.trim()) || !e.checkVisibility() || e.closest('.unseen') || e.disabled) continue;
		const [a, b] = [lum(parse(getComputedStyle(e).color).rgb), lum(behind(e))].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) pale.push(e.tagName + ' "' + e.textContent.slice(0, 20) + '" ' + ratio.toFixed(2));
	}
	return pale.join('; ');
})()`

// structure returns what a screen reader would stumble over.
const structure = `(() => {
	const wrong = [];
	for (const [what, n] of [['main', 1], ['header', 1], ['footer', 1], ['h1', 1], ['[aria-live=polite]', 1]]) if (document.querySelectorAll(what).length !== n) wrong.push(what);
	let last = 0;
	for (const h of document.querySelectorAll('h1,h2,h3,h4')) { const n = +h.tagName[1]; if (n > last + 1) wrong.push(h.textContent); last = n }
	for (const t of document.querySelectorAll('table')) if (!t.querySelector('thead th[scope=col]')) wrong.push('a table without heads');
	for (const s of document.querySelectorAll('section')) if (!s.getAttribute('aria-label') && !document.getElementById(s.getAttribute('aria-labelledby'))) wrong.push('section ' + s.id);
	for (const p of document.querySelectorAll('progress')) if (!p.getAttribute('aria-label')) wrong.push('a bar without a name');
	const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
	if (new Set(ids).size !== ids.length) wrong.push('an id twice');
	if (document.querySelectorAll('[style]').length) wrong.push('a style attribute');
	return wrong.join('; ');
})()`
