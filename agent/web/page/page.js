// Keeps the page current, and sends its forms without leaving it. The page is made by the
// server, as a whole; here it is only asked for again and put in place of what is there.
'use strict';
(() => {
  const apart = 200; // ms between two questions: at most five a second
  const byId = (id) => document.getElementById(id);
  let silence = 0;

  // say shows a text for a while; for good if it is about what goes on being so.
  function say(text, stays) {
    clearTimeout(silence);
    byId('said').textContent = text;
    if (!stays) silence = setTimeout(() => { byId('said').textContent = ''; }, 10000);
  }

  // morph makes a node like another one and keeps what it can: focus, scrolling, what was
  // typed, and which details are open.
  function morph(have, want) {
    if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName || have.id !== want.id) {
      have.replaceWith(want.cloneNode(true));
      return;
    }
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.data !== want.data) have.data = want.data;
      return;
    }
    for (const { name } of [...have.attributes]) {
      if (!want.hasAttribute(name) && !mine(have, name)) have.removeAttribute(name);
    }
    for (const { name, value } of want.attributes) {
      if (have.getAttribute(name) !== value && !mine(have, name)) have.setAttribute(name, value);
    }
    morphChildren(have, want);
  }

  // mine reports whether an attribute belongs to who looks, not to the server.
  function mine(node, name) {
    return node.nodeName === 'DETAILS' && name === 'open' || node.id === 'filter' && name === 'value';
  }

  function morphChildren(have, want) {
    const named = new Map();
    for (const c of have.children) if (c.id) named.set(c.id, c);
    let at = have.firstChild;
    for (const w of [...want.childNodes]) {
      const known = w.id && named.get(w.id);
      if (known && known !== at) have.insertBefore(known, at);
      else if (!at || !known && (w.id || at.id && named.has(at.id))) {
        have.insertBefore(w.cloneNode(true), at);
        continue;
      }
      const node = known || at;
      at = node.nextSibling;
      morph(node, w);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  let timer = 0, busy = false, again = false, last = 0, lost = false;

  // soon asks for the page, not more often than it may be.
  function soon() {
    if (!timer) timer = setTimeout(refresh, Math.max(0, last + apart - Date.now()));
  }

  async function refresh() {
    timer = 0;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    last = Date.now();
    try {
      const look = new URLSearchParams(location.search);
      look.set('fragment', '1');
      const r = await fetch('/?' + look, { headers: { Accept: 'text/html' }, signal: AbortSignal.timeout(10000) });
      if (r.status === 401) { // nobody is signed in any more
        location.reload();
        return;
      }
      if (!r.ok) throw new Error('HTTP ' + r.status);
      show(await r.text());
      if (lost) say('');
      lost = false;
    } catch (e) {
      if (!lost) say('slotsync does not answer; what is shown is old.', true);
      lost = true;
    }
    document.body.classList.toggle('old', lost);
    busy = false;
    if (again) {
      again = false;
      soon();
    }
  }

  function show(html) {
    const main = new DOMParser().parseFromString(html, 'text/html').querySelector('main');
    morph(byId('main'), main);
    document.title = main.dataset.title;
  }

  let streaming = false;

  // listen reads what happens, as a stream. What it says is not looked at, only that
  // something has happened.
  async function listen() {
    try {
      const r = await fetch('/v1/events', { headers: { Accept: 'text/event-stream' } });
      if (r.ok) {
        streaming = true;
        soon();
        const chunks = r.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await chunks.read();
          if (done) break;
          if (!value.includes('data:')) continue;
          soon();
          setTimeout(soon, 2 * apart); // what is done about it
        }
      }
    } catch (e) {
      // asked again below
    }
    streaming = false;
    setTimeout(listen, 2000);
  }

  async function send(form, button) {
    const body = new URLSearchParams(new FormData(form, button));
    const words = [body.get('do'), body.get('server') || '', body.get('backend') || ''].filter(Boolean).join(' ');
    try {
      const r = await fetch('/page/act', { method: 'POST', body, headers: { Accept: 'application/json' } });
      say(r.ok ? words + ': done' : (await r.json()).detail);
    } catch (e) {
      say(words + ': slotsync does not answer');
    }
    soon();
    setTimeout(soon, 2 * apart);
  }

  function look(href) {
    history.replaceState(null, '', href);
    soon();
  }

  function filterBy(text) {
    const q = new URLSearchParams(location.search);
    if (text) q.set('filter', text);
    else q.delete('filter');
    look('/?' + q);
  }

  document.addEventListener('submit', (e) => {
    const form = e.target;
    if (form.id === 'find') {
      e.preventDefault();
      filterBy(byId('filter').value);
    } else if (form.classList.contains('act')) {
      e.preventDefault();
      send(form, e.submitter);
    }
  });

  document.addEventListener('input', (e) => {
    if (e.target.id === 'filter') filterBy(e.target.value);
  });

  document.addEventListener('click', (e) => {
    const a = e.target.closest('a[data-look]');
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    look(a.getAttribute('href').replace(/#.*/, ''));
  });

  if (!byId('main').dataset.title) return; // nothing is shown before somebody signs in
  let beat = 0;
  setInterval(() => {
    beat++;
    if (!document.hidden && (!streaming || beat % 4 === 0)) soon();
  }, 2000);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) soon(); });
  listen();
})();
