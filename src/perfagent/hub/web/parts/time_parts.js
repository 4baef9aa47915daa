/** Where the time of a span went: a bar of its parts, each with a colour and a pattern of its own, and their table. */

import { duration, percent } from '../core/format.js';
import { html } from '../core/html.js';

/** Key, name and meaning of each part, in the order in which they are shown. */
export const PARTS = [
  ['cpu', 'CPU', 'computing'],
  ['gc', 'garbage collection', 'stopped by the garbage collector'],
  ['lock', 'lock', 'waiting for a lock or another thread'],
  ['pool', 'pool', 'waiting for a free connection or worker of a pool'],
  ['loop', 'event loop', 'ready, while the event loop was busy with something else; at most'],
  ['network', 'network', 'waiting for databases, caches and other services'],
  ['sleep', 'sleep', 'asleep'],
  ['processor', 'no processor', 'ready to run, with no processor free'],
  ['gil', 'interpreter', 'waiting for the interpreter\'s lock'],
  ['other', 'other waiting', 'waiting for something else: a timer, a disk, a result'],
  ['own', 'own work', 'in its own code; nobody has measured at what'],
];

const present = (time) => PARTS.filter(([key]) => time?.[key] > 0);

/** Whether more is known of a span than that it took its time. */
export const isTimed = (time) => present(time).some(([key]) => key !== 'own');

/** What the bar says, for those who do not see it. */
export function spoken(time) {
  const whole = sum(time);
  return present(time).map(([key, name]) => `${name} ${duration(time[key])} (${percent(time[key] / whole)})`).join(', ');
}

const sum = (time) => present(time).reduce((all, [key]) => all + time[key], 0) || 1;

/** The parts side by side, in any box. They are in no order of time. */
export function Segments({ time }) {
  const whole = sum(time);
  return present(time).map(([key, name]) => html`<i key=${key} class="time-part time-${key}"
      style=${{ flexGrow: time[key] / whole }} title=${`${name}: ${duration(time[key])}`}></i>`);
}

/** A bar with a label. */
export function TimeBar({ time, label }) {
  return html`<div class="time-bar" role="img" aria-label=${`${label}: ${spoken(time)}`}><${Segments} time=${time} />
      </div>`;
}

/** The names of parts that occur in some spans. */
export function TimeLegend({ times }) {
  const seen = PARTS.filter(([key]) => times.some((time) => time?.[key] > 0));
  return html`<ul class="time-legend" aria-label="What the patterns stand for">${seen.map(([key, name, meaning]) =>
        html`<li key=${key} title=${meaning}><i class="time-swatch time-part time-${key}"></i>${name}</li>`)}</ul>`;
}

/**
 * The parts of one or of several times, as a table whose columns add up.
 *
 * @param {[string, Object<string, number>][]} columns their names and parts
 */
export function TimeTable({ caption, columns }) {
  const seen = PARTS.filter(([key]) => columns.some(([, time]) => time?.[key] > 0));
  const cell = (time, key) => html`<td>${duration(time[key] ?? 0)}</td>
      <td class="quiet">${percent((time[key] ?? 0) / sum(time))}</td>`;
  return html`<div class="time-table-box" tabindex="0" role="group" aria-label=${caption}><table class="time-table"><caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">Part</th>${columns.map(([name]) => html`<th key=${name} scope="col" colspan="2">
        ${name}</th>`)}</tr></thead>
    <tbody>${seen.map(([key, name, meaning]) => html`<tr key=${key}>
      <th scope="row" title=${meaning}><i class="time-swatch time-part time-${key}"></i>${name}</th>
      ${columns.map(([, time]) => cell(time, key))}</tr>`)}</tbody>
    <tfoot><tr><th scope="row">in all</th>${columns.map(([name, time]) => html`<td key=${name}>
        ${duration(sum(time))}</td><td class="quiet">${percent(1)}</td>`)}</tr></tfoot></table></div>`;
}
