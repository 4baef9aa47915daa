/** Small drawings of one stroke; decoration only, for a word always stands beside them. */

import { html } from '../core/html.js';

const PATHS = {
  overview: 'M2 9h2.5l2-5.5 3 9 2-6L12.6 9H14',
  endpoints: 'M2.5 4h11M2.5 8h7M2.5 12h9M12 6.5 14 8l-2 1.5',
  traces: 'M2.5 3.5h8M4.5 6.5h6M6.5 9.5h7M8.5 12.5h3',
  browsers: 'M2 3h12v10H2zM2 6h12M4.2 4.5h.01M6.2 4.5h.01',
  queries: 'M3 4c0-1 2.2-1.8 5-1.8S13 3 13 4s-2.2 1.8-5 1.8S3 5 3 4Zm0 0v8c0 1 2.2 1.8 5 1.8s5-.8 5-1.8V4M3 8c0 1 2.2 1.8 5 1.8S13 9 13 8',
  databases: 'M2.5 2.5h11v3.5h-11zM2.5 10h11v3.5h-11zM8 6v4M5 4.2h.01M5 11.7h.01',
  caches: 'M8 2.2 14 5 8 7.8 2 5l6-2.8ZM2 8l6 2.8L14 8M2 11l6 2.8L14 11',
  processes: 'M5 5h6v6H5zM3 3h10v10H3zM6 1.2V3M10 1.2V3M6 13v1.8M10 13v1.8M1.2 6H3M1.2 10H3M13 6h1.8M13 10h1.8',
  logs: 'M3.5 2h6L13 5.5V14H3.5zM9 2v4h4M6 8.5h4.5M6 11h4.5',
  profiles: 'M8 1.8c.6 2.6 3.8 4.2 3.8 7.6a3.8 3.8 0 0 1-7.6 0c0-1.6.8-2.6 1.6-3.4.2 1 .7 1.6 1.3 1.9C6.7 5.6 7 3.400 8 1.800Z',
  metrics: 'M2.5 2.5v11h11M5 10.5l2.5-3.2 2 1.7L13 4.5',
  deprecations: 'M2.5 3h11v3h-11zM3.5 6v7.5h9V6M6.5 8.8h3',
  alerts: 'M8 2a4 4 0 0 0-4 4v3l-1.3 2.3h10.6L12 9V6a4 4 0 0 0-4-4ZM6.5 13.4a1.6 1.6 0 0 0 3 0',
  objectives: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 8h.01',
  compare: 'M5 14V2M2.5 4.5 5 2l2.5 2.5M11 2v12M8.5 11.5 11 14l2.5-2.5',
  hub: 'M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01M8 5h3M8 11h3',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M5 3.2v9.6L12.5 8z',
  sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.2v1.6M8 13.2v1.6M1.2 8h1.6M13.2 8h1.6M3.2 3.2l1.1 1.1M11.7 11.7l1.1 1.1M3.2 12.8l1.1-1.1M11.7 4.3l1.1-1.1',
  moon: 'M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.6V8l2.4 1.6',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  close: 'M4 4l8 8M12 4l-8 8',
  right: 'M6 3.5 10.5 8 6 12.5',
  down: 'M3.5 6 8 10.5 12.5 6',
  up: 'M3.5 10 8 5.5 12.5 10',
  arrow: 'M3 8h9.5M9 4.5 12.5 8 9 11.5',
  table: 'M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 6.5v6',
  chart: 'M2.5 2.5v11h11M5.5 11V8M8.5 11V5M11.5 11V7',
  copy: 'M6 5.5h7.5V14H6zM10 5.5V2.5H2.5v8.5H6',
  keys: 'M1.5 4h13v8h-13zM4 6.5h.01M6.7 6.5h.01M9.3 6.5h.01M12 6.5h.01M4.5 9.7h7',
  out: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14M4.8 7h4.4',
  plus: 'M8 3.5v9M3.5 8h9',
  check: 'M3 8.5 6.5 12 13 4.5',
  good: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.4 8.2l1.8 1.8 3.4-3.8',
  low: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.4v3.4M8 5.2h.01',
  medium: 'M8 1.8 14.2 8 8 14.2 1.8 8zM8 5v3.4M8 10.8h.01',
  high: 'M8 2.2 14.4 13.4H1.6zM8 6.2v3.4M8 11.6h.01',
  critical: 'M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4',
  idle: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.5 8h5',
  restart: 'M13 8a5 5 0 1 1-1.5-3.6M13 2.5V5h-2.6',
  version: 'M2.5 2.5h5.2l6 6-5.2 5.2-6-6zM5.3 5.3h.01',
  repeat: 'M3 7V5.5A1.5 1.5 0 0 1 4.5 4H13l-2-2M13 9v1.5a1.5 1.5 0 0 1-1.5 1.5H3l2 2',
};

/** One of them by its name; `label` where no word stands beside it. */
export function Icon({ name, label, size = 16 }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width=${size} height=${size} role=${label ? 'img' : undefined}
    aria-label=${label} aria-hidden=${label ? undefined : 'true'}><path d=${PATHS[name] ?? ''} /></svg>`;
}
