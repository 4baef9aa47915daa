/** Tables: headings that sort, rows that lead somewhere, arrow keys that go from row to row. */

import { useCell } from '../core/cell.js';
import { html, useMemo } from '../core/html.js';
import { go, route, setQuery } from '../core/route.js';
import { Icon } from './icon.js';

/**
 * @param {string} caption what the table lists, for those who hear it
 * @param {object[]} columns each {key, label, cell(row), value(row) to sort by, right: figures, wide: left out where the
 *     window is narrow, grow: takes the room that is left, server: name by which the hub sorts, title}; the first leads
 * @param {object[]} rows
 * @param {function} id of a row, its key
 * @param {function} href where a row leads
 * @param {string} sorted key of the column that sorts at first; without it, the rows stay as they come
 * @param {object} list what useList gave, for a table that can show more
 */
export function Table({ caption, columns, rows, id, href, sorted, list, primary = false, rowClass }) {
  const { query } = useCell(route);
  const [by, ascending] = sorted ? sorting(query, sorted, columns) : [];
  const shown = useMemo(() => {
    const column = columns.find((one) => one.key === by);
    if (!column?.value) return rows;
    return [...rows].sort((one, other) => compare(column.value(one), column.value(other)) * (ascending ? 1 : -1));
  }, [rows, by, ascending]);
  const incomplete = list?.next && by && !columns.find((one) => one.key === by)?.server;

  return html`<div class="table" tabindex=${href ? undefined : 0} role="region" aria-label=${caption}>
    <table data-primary=${primary ? 'true' : undefined} onKeyDown=${arrows}>
      <caption class="unseen">${caption}</caption>
      <thead><tr>${columns.map((column) => html`<${Heading} key=${column.key} column=${column}
        sorts=${sorted && column.value} by=${by} ascending=${ascending} />`)}</tr></thead>
      <tbody>${shown.map((row) => html`<${Row} key=${id(row)} row=${row} columns=${columns} address=${href?.(row)}
            className=${rowClass?.(row)} />`)}</tbody>
    </table>
    ${list?.next && html`<p class="more"><button type="button" onClick=${list.more} disabled=${list.loadingMore}>
          ${list.loadingMore ? 'Loading…' : 'Show more'}</button>
      ${incomplete && html`<span class="quiet">Sorted among the ${rows.length} that are shown</span>`}</p>`}
  </div>`;
}

/** The column that sorts and whether from small to large, from the address; names rise unless it says otherwise. */
export function sorting(query, first, columns = []) {
  const by = query.get('sort') || first;
  const order = query.get('order');
  return [by, order ? order === 'asc' : Boolean(columns.find((one) => one.key === by)?.rising)];
}

function compare(one, other) {
  const [none, noOther] = [one === null || one === undefined, other === null || other === undefined];
  if (none || noOther) return none - noOther ? (none ? -1 : 1) : 0;
  return typeof one === 'string' ? one.localeCompare(other) : one - other;
}

function Heading({ column, sorts, by, ascending }) {
  const classes = classesOf(column);
  if (!sorts) return html`<th scope="col" class=${classes} title=${column.title}>${column.label}</th>`;
  const active = by === column.key;
  const next = active ? !ascending : Boolean(column.rising);
  const order = next === Boolean(column.rising) ? null : next ? 'asc' : 'desc';
  const direction = ascending ? 'ascending' : 'descending';
  return html`<th scope="col" class=${classes} aria-sort=${active ? direction : undefined} title=${column.title}>
    <button type="button" onClick=${() => setQuery({ sort: column.key, order })}>
      ${column.label}<${Icon} name=${active && ascending ? 'up' : 'down'} size=${12} /></button></th>`;
}

function Row({ row, columns, address, className = '' }) {
  const open = (event) => {
    if (!address || event.target.closest('a, button, summary, input') || getSelection().toString()) return;
    if (event.metaKey || event.ctrlKey) window.open(address, '_blank');
    else go(address);
  };
  return html`<tr class="${address ? 'leads' : ''} ${className}" onClick=${open}>${columns.map((column, index) => {
    const content = column.cell(row);
    const classes = classesOf(column);
    if (index > 0 || column.plain) return html`<td key=${column.key} class=${classes}>${content}</td>`;
    const leading = address ? html`<a href=${address}>${content}</a>` : content;
    return html`<th key=${column.key} scope="row" class=${classes}>${leading}</th>`;
  })}</tr>`;
}

const classesOf = (column) => ['right', 'wide', 'grow'].filter((name) => column[name]).join(' ');

const MOVES = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, Home: -Infinity, End: Infinity };

function arrows(event) {
  const step = MOVES[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey || !event.target.closest('tbody')) return;
  event.preventDefault();
  focusRow(event.currentTarget, event.target.closest('tr'), step);
}

function focusRow(table, row, step) {
  const links = [...table.querySelectorAll('tbody > tr > th > a')];
  const at = links.findIndex((link) => link.closest('tr') === row);
  links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
}

/** Puts the focus on the next row of the view's main table, or the one before. */
export function moveRow(step) {
  const table = document.querySelector('table[data-primary]');
  if (table) focusRow(table, document.activeElement?.closest('tr'),
    document.activeElement?.closest('table') === table ? step : 1);
}
