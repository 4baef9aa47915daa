/** How bad something is, by a shape and a word: never by colour alone. */

import { html } from '../core/html.js';
import { Icon } from './icon.js';

const STATES = {
  healthy: ['good', 'good', 'Healthy'],
  degraded: ['high', 'warn', 'Degraded'],
  unhealthy: ['critical', 'bad', 'Unhealthy'],
  idle: ['idle', 'quiet', 'Idle'],
};
const LEVELS = {
  critical: ['critical', 'bad', 'Critical'],
  high: ['high', 'bad', 'High'],
  warning: ['medium', 'warn', 'Warning'],
  medium: ['medium', 'warn', 'Medium'],
  low: ['low', 'quiet', 'Low'],
};
const LOGS = [
  [21, 'critical', 'bad', 'Fatal'],
  [17, 'critical', 'bad', 'Error'],
  [13, 'high', 'warn', 'Warning'],
  [9, 'low', 'quiet', 'Info'],
  [5, 'idle', 'quiet', 'Debug'],
  [1, 'idle', 'quiet', 'Trace'],
];

function Mark({ icon, tone, word, hidden }) {
  return html`<span class="mark ${tone}"><${Icon} name=${icon} label=${hidden ? word : undefined} />
      ${!hidden && html`<span>${word}</span>`}</span>`;
}

/** Healthy, Degraded, Unhealthy or Idle. */
export function Health({ state, hidden }) {
  const [icon, tone, word] = STATES[state] ?? ['idle', 'quiet', 'Unknown'];
  return html`<${Mark} icon=${icon} tone=${tone} word=${word} hidden=${hidden} />`;
}

/** Critical, High, Warning, Medium or Low. */
export function Severity({ level, hidden }) {
  const [icon, tone, word] = LEVELS[level] ?? ['low', 'quiet', level || 'Unknown'];
  return html`<${Mark} icon=${icon} tone=${tone} word=${word} hidden=${hidden} />`;
}

/** The severity of a log record by OTLP's number; the sender's own word where it gave one. */
export function LogSeverity({ number, word }) {
  const found = LOGS.find(([least]) => number >= least);
  const [, icon, tone, name] = found ?? [0, 'idle', 'quiet', 'Unset'];
  return html`<${Mark} icon=${icon} tone=${tone} word=${found || !word ? name : word} />`;
}

/** The tone of that number: "bad", "warn" or "quiet". */
export const logTone = (number) => LOGS.find(([least]) => number >= least)?.[2] ?? 'quiet';

/** Whether a span or a request failed. */
export function Outcome({ error, code }) {
  const text = code ? String(code) : error ? 'Error' : 'OK';
  return error ? html`<${Mark} icon="critical" tone="bad" word=${text} />` : html`<span class="quiet">${text}</span>`;
}
