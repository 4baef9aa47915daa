/** Filters: fields that write themselves into the address. */

import { useCell } from '../core/cell.js';
import { html, useEffect, useId, useRef, useState } from '../core/html.js';
import { route, setQuery } from '../core/route.js';
import { line } from '../core/text.js';
import { Icon } from './icon.js';

const PAUSE = 250; // ms without a key before a search is asked

/** A text filter; `name` is its key in the address. `/` focuses the first one of a view. */
export function TextFilter({ name, label, placeholder, kind = 'search', width }) {
  const { query } = useCell(route);
  const there = query.get(name) ?? '';
  const [text, setText] = useState(there);
  const timer = useRef(0);
  useEffect(() => setText(there), [there]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const write = (value) => {
    clearTimeout(timer.current);
    setQuery({ [name]: value.trim() || null, cursor: null });
  };
  const type = (event) => {
    const { value } = event.currentTarget;
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => write(value), PAUSE);
  };
  const key = (event) => {
    if (event.key === 'Enter') write(event.currentTarget.value);
    if (event.key === 'Escape') event.currentTarget.blur();
  };
  return html`<label class="field ${kind} ${width ?? ''}">
    <span class=${kind === 'search' ? 'unseen' : ''}>${label}</span>
    ${kind === 'search' && html`<${Icon} name="search" />`}
    <input type=${kind} data-search=${kind === 'search' ? 'true'
      : undefined} placeholder=${placeholder} value=${text} min=${kind === 'number' ? 0 : undefined}
      step="any" autocomplete="off" spellcheck=${false} onInput=${type} onKeyDown=${key} onBlur=${(event) =>
          write(event.currentTarget.value)} />
  </label>`;
}

/** A choice from a list. @param {[value: string, text: string][]} options the first counts where none is chosen */
export function ChoiceFilter({ name, label, options, hiddenLabel = false }) {
  const { query } = useCell(route);
  const there = query.get(name) ?? options[0][0];
  const known = options.some(([value]) => value === there) ? options : [...options, [there, there]];
  const choose = (event) => setQuery({ [name]: event.currentTarget.value === options[0][0] ? null
      : event.currentTarget.value, cursor: null });
  return html`<label class="field"><span class=${hiddenLabel ? 'unseen' : ''}>${label}</span>
    <select value=${there} onChange=${choose}>${known.map(([value, text]) =>
        html`<option key=${value} value=${value} selected=${value === there}>${text}</option>`)}</select></label>`;
}

/** A choice of a few, side by side. */
export function Segments({ label, options, value, onChoose }) {
  const group = useId();
  return html`<fieldset class="segments"><legend class="unseen">${label}</legend>
    ${options.map(([key, text]) => html`<label key=${key}><input type="radio" name=${group} checked=${key === value}
          onChange=${() => onChoose(key)} /><span>${text}</span></label>`)}</fieldset>`;
}

/** The same as a filter of the address. */
export function SegmentFilter({ name, label, options }) {
  const { query } = useCell(route);
  const choose = (value) => setQuery({ [name]: value === options[0][0] ? null : value, cursor: null });
  return html`<${Segments} label=${label} options=${options} value=${query.get(name) ?? options[0][0]}
      onChoose=${choose} />`;
}

/**
 * What is filtered by, each with a cross that takes it away.
 *
 * @param {[text: string, remove: function][]} items
 */
export function Chips({ items }) {
  return html`<ul class="chips">${items.map(([text, remove]) => html`<li key=${text}><span class="chip">${line(text, 80)}
    <button type="button" class="ghost" onClick=${remove}>
      <${Icon} name="close" label=${`Without ${line(text, 80)}`} size=${12} /></button></span></li>`)}</ul>`;
}

/** The same for a filter that may hold several values. */
export function ValueChips({ name, values, prefix = '' }) {
  const without = (text) => () => setQuery({ [name]: values.filter((one) => one !== text), cursor: null });
  return html`<${Chips} items=${values.map((text) => [`${prefix}${text}`, without(text)])} />`;
}
