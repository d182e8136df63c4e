// The live status. The server renders; this brings what changed into the page, in place, so that focus, scroll and selection stay where they are.
'use strict';
const [main, link, said] = ['main', 'link', 'said'].map((id) => document.getElementById(id));
const { edition, now } = document.body.dataset;
let skew = Date.now() - Number(now); // of this clock against the server's
let generation = document.getElementById('now').dataset.generation;
let silence, reload, calm; // timers

// own are attributes that the browser, or tick, knows better than the server.
const own = (e, name) => (name === 'open' && e.tagName === 'DETAILS') || (name === 'value' && e.dataset.until);

// morph makes old like fresh. Elements with an id are found by it, all others by their place.
function morph(old, fresh) {
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !own(old, name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && !own(old, name)) old.setAttribute(name, value);
  if (old.tagName === 'TIME') return; // tick fills it
  const ids = new Set([...fresh.children].map((e) => e.id));
  for (const e of [...old.children]) if (e.id && !ids.has(e.id)) e.remove();
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const twin = node.id && [...old.children].find((e) => e.id === node.id);
    while (twin && at !== twin && !at.id) at = drop(at);
    if (at && at.nodeName === node.nodeName && (at.id || '') === (node.id || '')) {
      if (at.nodeType === Node.ELEMENT_NODE) morph(at, node);
      else if (at.nodeValue !== node.nodeValue) at.nodeValue = node.nodeValue;
      at = at.nextSibling;
    } else old.insertBefore(node, at);
  }
  while (at) at = drop(at);
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function span(s) {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
}

// tick lets times and bars of time go on without the server.
function tick() {
  const t = Date.now() - skew;
  for (const e of document.querySelectorAll('time[data-at]')) {
    const away = Math.trunc((t - e.dataset.at) / 1000);
    const words = away < 0 ? `in ${span(-away)}` : `${span(away)} ago`;
    if (e.textContent !== words) e.textContent = words;
  }
  for (const e of document.querySelectorAll('progress[data-until]'))
    e.value = Math.min(100, Math.max(0, (100 * (t - e.dataset.since)) / (e.dataset.until - e.dataset.since)));
}

function show(event) {
  skew = Date.now() - Number(event.lastEventId.split('.')[1]);
  const fresh = new DOMParser().parseFromString(`<main id="main" tabindex="-1">${event.data}</main>`, 'text/html').body.firstChild;
  const held = document.activeElement.id;
  morph(main, fresh);
  if (held && document.activeElement.id !== held) document.getElementById(held)?.focus({ preventScroll: true });
  tick();
  const { dataset } = document.getElementById('now');
  if (said.textContent !== dataset.said) said.textContent = dataset.said;
  document.title = dataset.title;
  if (dataset.generation !== generation) {
    generation = dataset.generation;
    document.body.classList.add('hopped');
    clearTimeout(calm);
    calm = setTimeout(() => document.body.classList.remove('hopped'), 4000);
  }
}

function connected(yes) {
  clearTimeout(silence);
  silence = undefined;
  document.body.classList.toggle('lost', !yes);
  link.textContent = yes ? 'live' : `no answer since ${new Date().toLocaleTimeString()}`;
}

function follow() {
  const source = new EventSource('stream');
  source.onopen = () => connected(true);
  source.onerror = () => {
    silence ??= setTimeout(connected, 2000, false); // a hop takes less
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
  source.addEventListener('page', show);
  source.addEventListener('edition', ({ data }) => {
    clearTimeout(reload);
    if (data !== edition) reload = setTimeout(() => location.reload(), 3000); // a version with another page
  });
}

tick();
setInterval(tick, 1000);
follow();
