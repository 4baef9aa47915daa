/** A button that has running processes looked at more often for a while. */

import { get, send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';

const RATE = 100; // looks a second
const SECONDS = 30;
const MOST = 8; // processes that are asked at once

export function Detail({ service, instance }) {
  useCell(role);
  const [told, setTold] = useState('');
  if (!may('operator')) return null;
  const ask = async () => {
    setTold('Asking…');
    try {
      const agents = (await get('agents', { limit: 1000, ...(service ? { service } : {}) })).items.filter((one) => one.alive
        && one.commands.includes('profiler') && (!instance || one.instance === instance)).slice(0, MOST);
      await Promise.all(agents.map((one) => send('POST', `agents/${encodeURIComponent(one.instance)}/commands`,
        { command: 'profiler', value: { rate: RATE, seconds: SECONDS } })));
      setTold(agents.length ? `Asked ${agents.length === 1 ? 'one process' : `${agents.length} processes`}; it shows here as
        it comes in.` : 'No process that can be asked runs now.');
    } catch (error) {
      setTold(error.message);
    }
  };
  return html`<span role="status" class="quiet">${told}</span>
    <button type="button" onClick=${ask} title=${`${RATE} looks a second, for ${SECONDS} s`}>In detail for ${SECONDS} s
      </button>`;
}
