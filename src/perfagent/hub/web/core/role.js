/** What this browser's user may do; the hub checks it again with every request. */

import { get } from './api.js';
import { cell } from './cell.js';

const ORDER = ['agent', 'viewer', 'operator', 'admin'];

/** "viewer", "operator" or "admin"; "" until it is known. */
export const role = cell('');

/** Whether programs may send to the hub: one that reads from Prometheus and Jaeger takes nothing. */
export const takes = cell(true);

get('me').then(
  (me) => {
    role.set(me.role);
    takes.set(me.takes_telemetry);
  },
  () => {}, // the views tell of a failure; until then nothing is offered
);

/** Whether the role is at least that one. */
export const may = (least) => ORDER.indexOf(role.value) >= ORDER.indexOf(least);
