/** Names of operations: a method set apart from its route, the service below where it matters. */

import { useCell } from '../core/cell.js';
import { html } from '../core/html.js';
import { route } from '../core/route.js';
import { line, plain } from '../core/text.js';

const METHOD = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|QUERY) (?=\S)/;

/** "GET /orders/{id}" with its service, unless one service is all that is shown. */
export function Name({ name, service }) {
  const chosen = useCell(route).query.get('service');
  const shown = line(name) || '(no name)';
  const method = METHOD.exec(shown)?.[1];
  return html`<span class="name" title=${plain(name).slice(0, 500)}>
      ${method && html`<span class="method">${method}</span> `}<bdi>${method ? shown.slice(method.length + 1) : shown}
        </bdi>${service && !chosen && html` <${Service} name=${service} />`}</span>`;
}

/** A service's name, small. */
export function Service({ name }) {
  return html`<span class="service-name"><bdi>${line(name, 60)}</bdi></span>`;
}

/** Where in the program: file and line, with the function behind it. */
export function Place({ caller, file, line: number, name }) {
  const [where, ...rest] = caller ? line(caller).split(' ') : [[file, number].filter(Boolean).join(':'), name ?? ''];
  if (!where) return html`<span class="quiet">unknown</span>`;
  return html`<span class="place"><code>${line(where)}</code> <span class="quiet">${line(rest.join(' '))}</span>
    </span>`;
}
