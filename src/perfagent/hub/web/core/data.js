/** Data of the hub in a component: kept while it is asked again, asked again when something new was stored. */

import { get } from './api.js';
import { useCell } from './cell.js';
import { useCallback, useEffect, useRef, useState } from './html.js';
import { liveState, stored } from './live.js';
import { range } from './range.js';
import { route } from './route.js';

const KEPT = 40; // answers, so that Back shows at once what was there
const answers = new Map();

function keep(key, data) {
  answers.delete(key);
  answers.set(key, data);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
}

/** Service and time range of the address, as the interface wants them. */
export function useFilters() {
  const { query } = useCell(route);
  const { from, to } = range(query);
  return { service: query.get('service'), from, to };
}

// A view of 15 minutes is asked again every 3 s at most, one of a day every minute, and none takes a tenth of the hub.
function pace(seconds, took) {
  return Math.max(Math.min(60_000, Math.max(3_000, (seconds / 720) * 1000)), took * 10);
}

// Nothing moves under a hand: not while text is selected or a button is pressed.
let pressed = false;
window.addEventListener('pointerdown', () => (pressed = true), true);
for (const name of ['pointerup', 'pointercancel', 'dragend', 'blur']) window.addEventListener(name,
  () => (pressed = false), true);
const busy = () => pressed || (getSelection()?.type === 'Range' && getSelection().toString() !== '');

/**
 * What the hub answers to a path, and how that stands.
 *
 * @param {string|null} path below /api/v1/performance/; null asks nothing
 * @param {object} params of the query
 * @param {boolean} live whether to follow what is stored; a range in the past is never asked twice
 * @returns {{data, error, loading: boolean, reload: function}} `data` is the last answer while a newer one is on its way
 */
export function useData(path, params = {}, live = true) {
  const key = path === null ? null : `${path} ${JSON.stringify(params)}`;
  const [state, setState] = useState({ key: null });
  const asking = useRef(null);
  const last = useRef({ at: 0, took: 0 });

  const ask = useCallback(async () => {
    asking.current?.abort();
    if (key === null) return;
    const control = (asking.current = new AbortController());
    const began = performance.now();
    try {
      const data = await get(path, params, control.signal);
      keep(key, data);
      setState({ key, data, error: null });
    } catch (error) {
      if (error.name !== 'AbortError') setState((before) => ({ key, data: before.key === key ? before.data : undefined,
            error }));
    }
    if (asking.current === control) asking.current = null;
    last.current = { at: performance.now(), took: performance.now() - began };
  }, [key]);

  useEffect(() => {
    ask();
    return () => asking.current?.abort();
  }, [ask]);

  useEffect(() => {
    if (!live || key === null) return undefined;
    let waiting = false;
    const stop = stored.follow(() => (waiting = true));
    const timer = setInterval(() => {
      if (liveState.value === 'paused' || document.hidden || asking.current || busy()) return;
      const { relative, seconds } = range();
      const since = performance.now() - last.current.at;
      const wait = pace(seconds, last.current.took);
      if ((relative || !('from' in params)) && since >= (waiting ? wait : wait * 5)) {
        waiting = false;
        ask();
      }
    }, 500);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [ask, live]);

  const mine = state.key === key;
  const data = mine ? state.data : (answers.get(key) ?? (sameSubject(state.key, key) ? state.data : undefined));
  return { data, error: mine ? state.error : null, loading: !mine, reload: ask };
}

// While only filters change, the old figures stay (dimmed) instead of a blank page; another subject starts empty.
const sameSubject = (one, other) => one !== null && other !== null && one.split(' ')[0] === other.split(' ')[0];

/** A list that is read page by page: useData's answer of the first page, and `more()` for what follows. */
export function useList(path, params) {
  const [pages, setPages] = useState({ key: '', items: [], next: null, loading: false });
  const key = JSON.stringify([path, params]);
  const extended = pages.key === key && pages.items.length > 0;
  const first = useData(path, params, !extended); // rows that somebody has paged to do not move
  const next = extended ? pages.next : (first.data?.next ?? null);
  const more = async () => {
    setPages({ ...pages, key, items: extended ? pages.items : [], next, loading: true });
    const page = await get(path, { ...params, cursor: next }).catch(() => ({ items: [], next }));
    setPages((now) => ({ key, items: [...(extended ? now.items : []), ...page.items], next: page.next,
          loading: false }));
  };
  const items = first.data && [...first.data.items, ...(extended ? pages.items : [])];
  return { ...first, items, next, more, loadingMore: pages.key === key && pages.loading };
}
