/** The hub's live events: what arrives now, and when something was stored; silent while paused or out of sight. */

import { address, lostSince, signedOut } from './api.js';
import { cell } from './cell.js';

const SLOWEST_RETRY = 30_000; // ms

/** The last snapshot, as the hub sent it: rates and saturation of this moment. */
export const snapshot = cell(null);
/** Counts how often something was stored. */
export const stored = cell(0);
/** "on", "paused", "connecting" or "off" (the hub is away or the user signed out). */
export const liveState = cell('connecting');

let source = null;
let paused = false;
let attempts = 0;
let timer = 0;

/** Follows the hub while the page is in sight: a browser has only six connections for all its tabs of one hub. */
export function start() {
  document.addEventListener('visibilitychange', settle);
  signedOut.follow(settle);
  settle();
}

/** Stops or resumes everything that moves by itself. */
export function togglePause() {
  paused = !paused;
  if (!paused) stored.set(stored.value + 1);
  settle();
}

function settle() {
  clearTimeout(timer);
  if (paused || document.hidden || signedOut.value) {
    source?.close();
    source = null;
    liveState.set(paused ? 'paused' : 'off');
  } else if (!source) {
    connect();
  }
}

function connect() {
  liveState.set('connecting');
  source = new EventSource(address('realtime'));
  source.addEventListener('open', () => {
    attempts = 0;
    lostSince.set(0);
    liveState.set('on');
    stored.set(stored.value + 1); // what came while the connection was away
  });
  source.addEventListener('snapshot', (event) => snapshot.set(JSON.parse(event.data)));
  source.addEventListener('stored', () => stored.set(stored.value + 1));
  source.addEventListener('alerts', () => stored.set(stored.value + 1));
  source.addEventListener('error', again);
}

// EventSource retries a broken connection, but gives up for good on an HTTP status; this treats both alike.
function again() {
  source?.close();
  source = null;
  liveState.set('connecting');
  if (attempts > 0 && !lostSince.value) probe();
  const wait = Math.min(SLOWEST_RETRY, 500 * 2 ** attempts) * (0.75 + Math.random() / 2);
  attempts += 1;
  clearTimeout(timer);
  timer = setTimeout(settle, wait);
}

// An EventSource does not tell why it failed: a plain request does, and notices a sign-out or a hub that is gone.
function probe() {
  fetch(address('me'), { credentials: 'same-origin' }).then(
    (response) => signedOut.set(response.status === 401),
    () => lostSince.value || lostSince.set(Date.now()),
  );
}
