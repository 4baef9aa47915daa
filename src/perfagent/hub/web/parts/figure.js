/** Single figures: a labelled one, its change, and a bar for a share. */

import { change, percent } from '../core/format.js';
import { html } from '../core/html.js';
import { Icon } from './icon.js';

/** A figure with its name. */
export function Figure({ name, value, title, note, tone = '' }) {
  return html`<div class="figure ${tone}" title=${title}><dt>${name}</dt>
      <dd>${value}${note && html` <small>${note}</small>`}</dd></div>`;
}

/** Several of them in a row. */
export function Figures({ children }) {
  return html`<dl class="figures">${children}</dl>`;
}

/**
 * How much a figure has changed, by an arrow, a word and a tone.
 *
 * @param {boolean|null} lower whether less is better; null where neither is
 */
export function Delta({ before, after, lower = null, than = 'than before', show = null }) {
  const found = change(before, after);
  if (!found) return null;
  const worse = lower !== null && found.ratio !== 0 && found.ratio > 0 === lower && Math.abs(found.ratio) >= 0.1;
  const better = lower !== null && found.ratio !== 0 && found.ratio > 0 !== lower && Math.abs(found.ratio) >= 0.1;
  const spoken = `${found.text} ${than}${show ? `, ${show(before)}` : ''}${worse ? ', worse' : better ? ', better'
      : ''}`;
  return html`<span class="delta ${worse ? 'warn' : better ? 'good' : 'quiet'}" title=${spoken}>
    ${found.ratio !== 0 && html`<${Icon} name=${found.ratio > 0 ? 'up' : 'down'} size=${12} />`}
      <span aria-hidden="true">${found.text}</span><span class="unseen">${spoken}</span></span>`;
}

/** A share of a whole, 0..1, as a bar behind its text. */
export function Share({ ratio, children, tone = '' }) {
  return html`<span class="share ${tone}">
      <i style=${{ backgroundSize: `${Math.max(0, Math.min(1, ratio || 0)) * 100}% 100%` }}></i><span>${children}
        </span></span>`;
}

/**
 * Parts of a whole, one beside the other, with their names below.
 *
 * @param {{label: string, value: number, text: string, colour: string}[]} parts
 */
export function Parts({ label, parts }) {
  const whole = parts.reduce((sum, part) => sum + (part.value || 0), 0) || 1;
  const seen = parts.filter((part) => part.value > 0);
  return html`<div class="parts">
    <div class="parts-bar" aria-hidden="true">
        ${seen.map((part) => html`<i key=${part.label}
              style=${{ flexGrow: Math.max(part.value / whole, 0.004), background: `var(${part.colour})` }}
                title=${`${part.label}: ${part.text}`}></i>`)}</div>
    <ul aria-label=${label}>${seen.map((part) => html`<li key=${part.label}>
          <i class="swatch" style=${{ background: `var(${part.colour})` }}></i>${part.label} <b>${part.text}
            </b> <span class="quiet">${percent(part.value / whole)}</span></li>`)}</ul>
  </div>`;
}
