/** How the database runs a statement: its steps as a tree, the one to look at marked, and the index that would help. */

import { ago, bytes, count, duration, full } from '../core/format.js';
import { html } from '../core/html.js';
import { line, plain } from '../core/text.js';
import { Icon } from './icon.js';
import { Place } from './names.js';
import { Sql } from './sql.js';
import { Copy } from './states.js';
import { Panel } from './view.js';

/** @param {object} plan as the interface gives it with a query */
export function Plan({ plan }) {
  const { plan: root, index } = plan;
  const times = index && index.cost_after > 0 ? index.cost_before / index.cost_after : 0;
  return html`<${Panel} title="Plan" note=${html`<span title=${full(plan.time)}>${ago(plan.time)}</span>, of a call
        of ${duration(plan.seconds * 1000)}`}>
    ${plan.place && html`<p class="plan-place"><${Place} caller=${plan.place} /></p>`}
    ${root ? html`<ul class="plan" role="tree" aria-label="Steps of the plan">
          <${Step} one=${root} /></ul>`
      : html`<p class="quiet">The database gave none: ${line(plan.failure)}.</p>`}
    ${plan.note && html`<p class="quiet">${line(plan.note)}</p>`}
    ${index && html`<div class="plan-index">
      <p class="notice warn"><${Icon} name="high" size=${14} /> With an index the cost falls
        from ${count(Math.round(index.cost_before))} to ${count(Math.round(index.cost_after * 10) / 10)}${times >= 2
          && `, ${count(Math.round(times))} times less`}. HypoPG has tried it without making it${index.bytes > 0
            && `; it would take about ${bytes(index.bytes)}`}.</p>
      <div class="plan-ddl"><${Sql} text=${index.ddl} block=${true} /><${Copy} text=${plain(index.ddl)}
          label="Copy the index" /></div></div>`}
  </${Panel}>`;
}

function Step({ one }) {
  const figures = [
    one.rows !== null && `${count(one.rows)} ${one.rows === 1 ? 'row' : 'rows'}`,
    one.cost !== null && `cost ${count(Math.round(one.cost))}`,
  ].filter(Boolean).join(' · ');
  return html`<li role="treeitem" aria-expanded=${one.below.length ? 'true' : undefined} class=${one.mark ? 'marked' : ''}>
    <div class="step"><span><code>${line(one.step, 300)}</code>
        ${one.mark && html`<span class="mark warn"><${Icon} name="high" size=${13} /><span>${line(one.mark, 300)}</span>
            </span>`}
        ${one.detail && html`<span class="below">${line(one.detail, 600)}</span>`}</span>
      <span class="quiet figures-of-step">${figures}</span></div>
    ${(one.below.length > 0 || one.cut) && html`<ul role="group">
      ${one.below.map((child, index) => html`<${Step} key=${index} one=${child} />`)}
      ${one.cut && html`<li role="treeitem" class="quiet">More steps were left out.</li>`}</ul>`}
  </li>`;
}
