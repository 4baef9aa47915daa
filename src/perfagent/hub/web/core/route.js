/** The address: a path and filters behind the `#`, the only place where the page keeps what is looked at. */

import { cell } from './cell.js';

const EVERYWHERE = ['service', 'from', 'to']; // what a link to another view takes along

function read() {
  const [path, query = ''] = location.hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
  const parts = path.split('/').filter(Boolean).map(decoded);
  return { parts, path: parts.join('/'), query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % in a hand-written address
  }
}

export const route = cell(read());
window.addEventListener('hashchange', () => route.set(read()));

/** Writes filters: lists repeat their key, and what is empty, null or false is left out. */
function written(query) {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== '' && one !== false) pairs.append(key, one);
    }
  }
  return pairs.toString();
}

/**
 * An address of the page that keeps service and time range.
 *
 * @param {string[]} parts the path, such as ['endpoints', '123']
 * @param {object} query filters of that view; null takes one away that would be kept
 */
export function link(parts, query = {}) {
  const kept = Object.fromEntries(EVERYWHERE.map((key) => [key, route.value.query.get(key)]));
  const text = written({ ...kept, ...query });
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

/** An address that the hub has put into an answer, with service and time range added; null unless it is one of ours. */
export function safeLink(address) {
  if (typeof address !== 'string' || !address.startsWith('#/')) return null;
  const [path, query = ''] = address.slice(2).split(/\?(.*)/s);
  return link(path.split('/').filter(Boolean).map(decoded), Object.fromEntries(new URLSearchParams(query)));
}

/** Goes to an address made by `link`. */
export function go(address) {
  location.hash = address.slice(1);
}

/**
 * Changes filters of the view that is open.
 *
 * @param {object} patch new values by key; null takes one away
 * @param {boolean} push whether Back leads to what was before: true for a deliberate step, such as a time range
 */
export function setQuery(patch, push = false) {
  const query = {};
  for (const key of new Set(route.value.query.keys())) query[key] = route.value.query.getAll(key);
  const text = written({ ...query, ...patch });
  const address = `#/${route.value.parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
  if (address === location.hash) return;
  history[push ? 'pushState' : 'replaceState'](null, '', address);
  route.set(read());
}
