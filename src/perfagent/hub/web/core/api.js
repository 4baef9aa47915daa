/** Requests to the hub's interface: the envelope taken off, failures as `Refused`, and whether there is a hub at all. */

import { cell } from './cell.js';

const PREFIX = '/api/v1/performance/';

/** Whether the hub asks for a sign-in. */
export const signedOut = cell(false);
/** Since when no request has reached the hub (ms since the epoch); 0 while they do. */
export const lostSince = cell(0);

/** What answers lack, where the hub reads from elsewhere: its sentences, by the path of the answer. */
export const notes = cell({});

/** Forgets what the answers of another view lacked. */
export function forgetNotes() {
  notes.set({});
}

function note(target, response) {
  const path = target.split('?')[0];
  const told = response.headers.get('Perfagent-Notes') ?? '';
  if ((notes.value[path] ?? '') !== told) notes.set({ ...notes.value, [path]: told });
}

/** What the hub said no with: its own sentence, the HTTP status, and the field that was wrong. */
export class Refused extends Error {
  constructor(status, code, message, field) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}

/** The address of an answer, for a request or a download. */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== '') query.append(key, one);
    }
  }
  const text = query.toString();
  return `${PREFIX}${path}${text ? `?${text}` : ''}`;
}

/** Reads an answer's data; raises Refused, or an AbortError when `signal` ends it. */
export function get(path, params, signal) {
  return request('GET', address(path, params), undefined, signal);
}

/** Sends a change and returns what the hub answers. */
export function send(method, path, body) {
  return request(method, address(path), body);
}

async function request(method, target, body, signal) {
  let response;
  try {
    response = await fetch(target, {
      method,
      signal,
      credentials: 'same-origin',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (failure) {
    if (failure.name === 'AbortError') throw failure;
    if (!lostSince.value) lostSince.set(Date.now());
    throw new Refused(0, 'lost', 'The hub does not answer.');
  }
  lostSince.set(0);
  signedOut.set(response.status === 401);
  note(target, response);
  const answer = await response.json().catch(() => null);
  if (response.ok && answer?.status === 'success') return answer.data;
  const error = answer?.error ?? {};
  throw new Refused(response.status, error.code ?? 'failed', error.message ?? `The hub answered ${response.status}.`,
    error.field);
}
