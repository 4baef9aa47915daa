/** In the pages of a measured program: web vitals, loading, frames, long tasks, errors and uploads, told to the hub. */

(() => {
  const own = document.currentScript;
  if (!own || window.perfagentRum) return;
  const { page, service, trace } = own.dataset;
  const target = new URL('v1/client', own.src).href;
  const navigation = performance.getEntriesByType('navigation')[0] ?? {};
  // A page from the browser's cache was made by an earlier request, so its trace is not of this visit.
  const fresh = navigation.transferSize > navigation.encodedBodySize && navigation.type !== 'back_forward';
  const visit = {
    effectiveType: navigator.connection?.effectiveType,
    device: (navigator.userAgentData?.mobile ?? matchMedia('(pointer: coarse)').matches) ? 'mobile' : 'desktop',
  };
  const MOST = 90; // measurements of one request; the hub takes 100 and 64 KiB
  const queue = new Map();
  let timer = 0;
  let refused = false; // the hub is away, or takes nothing from this page: once in the console is enough

  /** Counts a measurement; equal ones are told once, with how often they came. */
  function record(type, value, component = '', metadata = {}, traced = false) {
    if (refused || !(value >= 0 && value < Infinity)) return;
    const key = `${type} ${value} ${component}`;
    const found = queue.get(key);
    if (found) found.count += 1;
    else if (queue.size < MOST * 5) {
      queue.set(key, { page: page || location.pathname, type, value, count: 1, component,
        metadata: { service, ...metadata }, trace: traced && fresh ? trace : undefined });
    }
    timer ||= setTimeout(flush, 10000);
  }

  function flush() {
    clearTimeout(timer);
    timer = 0;
    const all = [...queue.values()];
    queue.clear();
    while (all.length && !refused) {
      // Not sendBeacon, which sends the cookies of the host along. As text: nothing has to be asked first.
      fetch(target, { method: 'POST', body: JSON.stringify(all.splice(0, MOST)), keepalive: true, credentials: 'omit',
        headers: { 'content-type': 'text/plain' }, referrerPolicy: 'no-referrer' }).then(
        (answer) => (refused ||= !answer.ok && answer.status !== 429), () => (refused = true));
    }
  }

  // The first value of each visit: the one at the moment when the page was first left.
  const told = new Set();
  for (const name of ['LCP', 'INP', 'CLS', 'FCP', 'TTFB']) {
    webVitals[`on${name}`](({ id, value, rating, navigationType }) => {
      if (told.has(id)) return;
      told.add(id);
      record(name.toLowerCase(), Math.round(value * 1e4) / 1e4, '', { ...visit, rating, navigationType },
        navigationType === 'navigate' || navigationType === 'reload');
    });
  }

  const loaded = () => setTimeout(() => {
    record('page_load', Math.round(navigation.loadEventEnd - (navigation.activationStart ?? 0)), '', visit, true);
    sample();
  });
  if (document.readyState === 'complete') loaded();
  else addEventListener('load', loaded);

  // Frames: one second of them after the page has loaded, and at times while somebody uses it.
  let sampled = -Infinity;
  function sample() {
    const now = performance.now();
    if (now - sampled < 5000 || document.hidden) return;
    sampled = now;
    let last = 0;
    let left = 60;
    const step = (at) => {
      const ms = at - last;
      if (last) record('frame_time', ms < 20 ? Math.round(ms * 10) / 10 : Math.round(ms));
      last = at;
      if ((left -= 1) > 0 && !document.hidden) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
  for (const name of ['scroll', 'pointerdown', 'keydown']) addEventListener(name, sample,
    { passive: true, capture: true });

  try {
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => record('long_task', duration)))
      .observe({ type: 'longtask', buffered: true });
  } catch {
    // a browser that tells of none
  }

  // Errors are counted by the script that they are in; their messages may hold what somebody typed, and stay here.
  const source = (address) => {
    try {
      const { origin, host, pathname } = new URL(address, location);
      return (origin === location.origin ? pathname : host).replace(/[^\w .:/-]/g, '_').slice(0, 100);
    } catch {
      return '';
    }
  };
  addEventListener('error', (event) => event instanceof ErrorEvent && record('js_error', 1, source(event.filename)));
  addEventListener('unhandledrejection', () => record('js_error', 1, 'promise'));

  // Uploads of a known size, to the page's own site: a listener elsewhere would make the browser ask for leave first.
  const LEAST = 65536; // bytes; smaller ones measure the way, not the line
  const size = (body) => body instanceof Blob ? body.size : body instanceof FormData
    ? [...body.values()].reduce((sum, one) => sum + (one.size ?? one.length), 0)
    : typeof body === 'string' ? body.length : body?.byteLength ?? 0;
  const { open, send } = XMLHttpRequest.prototype;
  const opened = new WeakMap();
  XMLHttpRequest.prototype.open = function (...given) {
    opened.set(this, String(given[1]));
    return open.apply(this, given);
  };
  XMLHttpRequest.prototype.send = function (...given) {
    const bytes = size(given[0]);
    if (bytes >= LEAST && new URL(opened.get(this) ?? '', document.baseURI).origin === location.origin) {
      const began = performance.now();
      this.upload.addEventListener('load', () => record('upload_speed',
        Math.round(bytes * 1000 / Math.max(performance.now() - began, 1))));
    }
    return send.apply(this, given);
  };

  addEventListener('visibilitychange', () => document.hidden && flush());
  addEventListener('pagehide', flush);
  window.perfagentRum = { record: (type, value, component) => record(type, value, component), flush };
})();
