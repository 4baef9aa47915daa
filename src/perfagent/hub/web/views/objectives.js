/** Objectives: what is left of each error budget, and how fast it burns. */

import { useData, useFilters } from '../core/data.js';
import { full, NONE } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line, plain } from '../core/text.js';
import { Budget, Burn, left, ObjectiveState, share } from '../parts/objectives.js';
import { Service } from '../parts/names.js';
import { Spark } from '../parts/spark.js';
import { Command, Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const COLUMNS = [
  { key: 'name', label: 'Objective', grow: true, rising: true, value: (one) => one.name,
    cell: (one) => html`<span class="name">${line(one.name, 80)} <${Service} name=${one.service} /></span>` },
  { key: 'state', label: 'State', cell: (one) => html`<${ObjectiveState} state=${one.state} />` },
  { key: 'budget', label: 'Budget left', right: true, rising: true, value: (one) => one.budget_remaining_percent,
    cell: (one) => html`<${Budget} percent=${one.budget_remaining_percent} />` },
  { key: 'days', label: 'Bad by day', wide: true,
    cell: (one) => html`<${Spark} values=${one.days.map((day) => day.bad)} tone="bad" />` },
  { key: 'attained', label: 'Good', right: true, wide: true, value: (one) => one.attained_percent,
    cell: (one) => html`${share(one.attained_percent)} <span class="quiet">of ${share(one.objective)}</span>` },
  { key: 'hour', label: 'Burn 1 h', right: true, title: 'How many times faster than allowed; 1 spends it exactly',
    value: (one) => one.burn_rates['1h'], cell: (one) => html`<${Burn} rate=${one.burn_rates['1h']} />` },
  { key: 'day', label: 'Burn 1 d', right: true, wide: true, value: (one) => one.burn_rates['1d'],
    cell: (one) => html`<${Burn} rate=${one.burn_rates['1d']} />` },
  { key: 'gone', label: 'Gone', right: true, wide: true, value: (one) => one.forecast.at,
    cell: (one) => (one.forecast.at === null ? html`<span class="quiet" title=${one.forecast.basis}>${NONE}</span>`
      : html`<time title=${`${full(one.forecast.at)}: ${one.forecast.basis}`}>${left(one.forecast.at)}</time>`) },
];

export default function ObjectivesView() {
  const { service } = useFilters();
  const source = useData('objectives', { service, limit: 200 });
  return html`<${View} name="objectives" title="Objectives" source=${source}>${(data) => html`
    ${data.problems.map((text) => html`<p key=${text} class="notice warn">${plain(text)}</p>`)}
    ${data.items.length ? html`<${Table} caption="Objectives" columns=${COLUMNS} rows=${data.items}
          id=${(one) => one.name} href=${(one) => link(['objectives', one.name])} sorted="budget" primary=${true} />`
      : html`<${Empty} icon="objectives" title="No objective is declared">
          <p>Say what share of the requests shall be good, and this page tells what is left of the budget and what spends it.</p>
          <p><${Command} text="PERFAGENT_SLO=shop:99.9 perfagent hub" /></p>
          <p class="quiet">Or <code>[[slo]]</code> tables in <code>perfagent.toml</code>.</p></${Empty}>`}`}</${View}>`;
}
