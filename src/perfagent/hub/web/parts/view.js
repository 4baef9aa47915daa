/** The frame of a view: its title, its state, and what stands in it once there are data. */

import { html, useEffect } from '../core/html.js';
import { line } from '../core/text.js';
import { Failed, Loading } from './states.js';

/**
 * @param {string} name of the view, also told to tests by `data-loaded`
 * @param {*} title what the heading shows; `label` is the same as a text, where the title is not one
 * @param {[string, string][]} crumbs text and address of the views above
 * @param {object} source what useData gave
 * @param {function} children makes the content from the data
 */
export function View({ name, title, label = title, crumbs = [], actions, source, children }) {
  useEffect(() => {
    document.title = `${line(label, 80)} · perfagent`;
  }, [label]);
  const { data, error, loading, reload } = source;
  return html`<section class="view view-${name}" data-loaded=${data ? name : undefined}
      aria-busy=${String(Boolean(loading))}>
    <header class="view-head">
      <div class="titles">
        ${crumbs.length > 0 && html`<nav aria-label="Above this">
              <ol class="crumbs">${crumbs.map(([text, address]) => html`<li key=${address}><a href=${address}>${text}
                    </a></li>`)}</ol></nav>`}
        <h1 tabindex="-1">${title}</h1>
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${error && data && html`<p class="notice warn" role="status">These figures are old: ${error.message}</p>`}
    ${data ? children(data) : error ? html`<${Failed} error=${error} again=${reload} />` : html`<${Loading} />`}
  </section>`;
}

/** A part of a view with a heading of its own. */
export function Panel({ title, note, actions, wide, className = '', children }) {
  return html`<section class="panel ${className} ${wide ? 'wide' : ''}">
    ${title && html`<header><h2>${title}</h2>${note && html`<p class="note">${note}</p>`}
          ${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>`;
}
