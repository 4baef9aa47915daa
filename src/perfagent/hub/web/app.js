/** The page: navigation, the bar with service and time, and the view that the address asks for. */

import { forgetNotes, lostSince, notes, signedOut } from './core/api.js';
import { useCell } from './core/cell.js';
import { clock } from './core/format.js';
import { html, render, useEffect, useErrorBoundary, useRef, useState } from './core/html.js';
import { useShortcuts } from './core/keys.js';
import { start, togglePause } from './core/live.js';
import { shift, widen } from './core/range.js';
import { go, link, route } from './core/route.js';
import { line } from './core/text.js';
import { switchTheme } from './core/theme.js';
import { Empty, Loading, SignedOut } from './parts/states.js';
import { moveRow } from './parts/table.js';
import { Bar } from './shell/bar.js';
import { Help } from './shell/help.js';
import { Nav, PLACES } from './shell/nav.js';

const VIEWS = {
  overview: () => import('./views/overview.js'),
  endpoints: () => import('./views/endpoints.js'),
  'endpoints/': () => import('./views/endpoint.js'),
  traces: () => import('./views/traces.js'),
  'traces/': () => import('./views/trace.js'),
  browsers: () => import('./views/browsers.js'),
  queries: () => import('./views/queries.js'),
  'queries/': () => import('./views/query.js'),
  databases: () => import('./views/databases.js'),
  'databases/': () => import('./views/database.js'),
  caches: () => import('./views/caches.js'),
  deprecations: () => import('./views/deprecations.js'),
  compare: () => import('./views/compare.js'),
  processes: () => import('./views/processes.js'),
  'processes/': () => import('./views/process.js'),
  profiles: () => import('./views/profiles.js'),
  logs: () => import('./views/logs.js'),
  metrics: () => import('./views/metrics.js'),
  alerts: () => import('./views/alerts.js'),
  incidents: () => import('./views/alerts.js'),
  'incidents/': () => import('./views/incident.js'),
  objectives: () => import('./views/objectives.js'),
  'objectives/': () => import('./views/objective.js'),
  hub: () => import('./views/hub.js'),
};
const loaded = {}; // components by view

function viewOf(parts) {
  const [place = 'overview', ...rest] = parts;
  return rest.length ? `${place}/` : place;
}

/** The view of the address; its module is fetched when it is first wanted. */
function Host() {
  const { parts, path } = useCell(route);
  const name = viewOf(parts);
  const [, refresh] = useState(0);
  const arrived = useRef(path); // where the focus is already
  useEffect(() => {
    if (!loaded[name] && VIEWS[name]) {
      VIEWS[name]().then(
        (module) => (loaded[name] = module.default),
        () => (loaded[name] = Unreachable),
      ).then(() => refresh((count) => count + 1));
    }
  }, [name]);
  useEffect(() => {
    if (arrived.current === path || !loaded[name]) return;
    arrived.current = path;
    document.querySelector('main h1')?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path, loaded[name]]);
  if (!VIEWS[name]) return html`<${NoSuchView} />`;
  const View = loaded[name];
  return View ? html`<${Guarded} key=${path}><${View} subject=${parts[1]} /></${Guarded}>` : html`<${Loading} />`;
}

/** A fault in one view takes none of the rest with it. */
function Guarded({ children }) {
  const [error, again] = useErrorBoundary((failure) => console.error(failure));
  if (!error) return children;
  return html`<${Empty} icon="high" title="This view failed"><p>${String(error)}</p>
      <p><button type="button" onClick=${again}>Try again</button></p></${Empty}>`;
}

function NoSuchView() {
  return html`<${Empty} title="There is no such view"><p><a href=${link([])}>Go to the overview</a></p></${Empty}>`;
}

function Unreachable() {
  return html`<${Empty} icon="high" title="This view could not be fetched">
      <p><button type="button" onClick=${() => location.reload()}>Load the page again</button></p></${Empty}>`;
}

function Lost() {
  const since = useCell(lostSince);
  return since ? html`<p class="lost" role="alert">The hub has not answered since ${clock(since / 1000,
        true)}. What you see is from then; the page goes on trying.</p>` : null;
}

/** What the hub could not read yet, or not at all, from where it reads. */
function Notes() {
  const told = [...new Set(Object.values(useCell(notes)).filter(Boolean).flatMap((text) => text.split(' | ')))];
  return told.length > 0
    ? html`<ul class="lost notes" role="status">${told.map((text) => html`<li key=${text}>${line(text, 400)}</li>`)}</ul>`
    : null;
}

function App() {
  const out = useCell(signedOut);
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const { path } = useCell(route);
  useEffect(() => {
    setMenu(false);
    forgetNotes();
  }, [path]);
  useShortcuts([
    ...PLACES.map(([name, text, key]) => [`g ${key}`, text, () => go(link(name === 'overview' ? [] : [name])),
        'Go to']),
    ['/', 'Search in this view', focusSearch, 'Everywhere'],
    ['j', 'Next row', () => moveRow(1), 'Everywhere'],
    ['k', 'Row before', () => moveRow(-1), 'Everywhere'],
    ['t', 'Choose the time range', () => document.getElementById('range')?.click(), 'Everywhere'],
    ['[', 'Earlier', () => shift(-1), 'Everywhere'],
    [']', 'Later', () => shift(1), 'Everywhere'],
    ['z', 'Widen the time range', widen, 'Everywhere'],
    ['p', 'Pause or resume', togglePause, 'Everywhere'],
    ['d', 'Dark or light', switchTheme, 'Everywhere'],
    ['?', 'These shortcuts', () => setHelp(true), 'Everywhere'],
  ]);
  if (out) return html`<${SignedOut} />`;
  const skip = (event) => {
    event.preventDefault(); // the address after the # is the view's
    document.getElementById('main').focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Nav} open=${menu} close=${() => setMenu(false)} help=${() => setHelp(true)} />
    <div class="page">
      <${Bar} menu=${() => setMenu(true)} menuOpen=${menu} />
      <${Lost} />
      <${Notes} />
      <main id="main" tabindex="-1"><${Host} /></main>
    </div>
    ${help && html`<${Help} close=${() => setHelp(false)} />`}`;
}

function focusSearch() {
  const field = document.querySelector('main [data-search]');
  if (field) field.select();
  else go(link(['traces']));
}

// Every view is at hand before it is wanted, also when the hub goes away; the first one has painted by then.
setTimeout(() => Object.values(VIEWS).forEach((load) => load().catch(() => {})), 1500);

start();
const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
