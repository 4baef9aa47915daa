/** The text of a query, its keywords set apart and its clauses on lines of their own. */

import { html } from '../core/html.js';
import { plain } from '../core/text.js';

const KEYWORDS = new Set(
  `select from where and or not in is null as on join left right inner outer full cross group by order having limit
  offset insert into values update set delete returning with union all distinct case when then else end exists between
  like ilike asc desc for create table index drop alter begin commit rollback`.split(/\s+/),
);
const TOKENS = /('(?:[^']|'')*'|"[^"]*"|--[^\n]*|[A-Za-z_][\w$]*|\s+|.)/gs;
const CLAUSES = /\s+(?=\b(?:FROM|WHERE|(?:LEFT |RIGHT |INNER |FULL |CROSS )?(?:OUTER )?JOIN|GROUP BY|ORDER BY|HAVING|LIMIT|RETURNING|VALUES|SET|UNION)\b)/gi;
const LONGEST = 20_000;

/** @param {boolean} block on several lines, where a table wants one */
export function Sql({ text, block = false }) {
  const shown = plain(text).slice(0, LONGEST);
  const tokens = (block && !shown.includes('\n') ? shown.replace(CLAUSES, '\n') : shown).match(TOKENS) ?? [];
  const marked = tokens.map((token, index) => (KEYWORDS.has(token.toLowerCase()) ? html`<b key=${index}>${token}
        </b>` : token));
  return block ? html`<pre class="sql" tabindex="0"><code>${marked}</code></pre>` : html`<code class="sql">${marked}
    </code>`;
}
