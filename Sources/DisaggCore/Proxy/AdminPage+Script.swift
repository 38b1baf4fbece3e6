extension AdminPage {
    /// The page's script: reads the status once a second, keeps two minutes of it, and draws.
    static let script = #"""
        'use strict';
        const $ = id => document.getElementById(id);
        const KEEP = 120, WINDOW = 60, NS = 'http://www.w3.org/2000/svg';
        let history = [], token = sessionStorage.getItem('disagg-token') || '';

        function el(name, attributes, ...children) {
          const node = document.createElement(name);
          for (const [key, value] of Object.entries(attributes || {})) {
            if (value === false || value == null) continue;
            if (key === 'style') node.style.cssText = value; else node.setAttribute(key, value);
          }
          for (const child of children.flat()) if (child != null) node.append(child);
          return node;
        }
        const fill = (id, ...children) => $(id).replaceChildren(...children.flat());
        const count = n => n == null ? '–' : n >= 1e6 ? (n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? (n / 1e3).toFixed(1) + 'k' : String(n);
        const rate = n => n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
        function time(seconds) {
          if (seconds == null || !isFinite(seconds)) return ['–', ''];
          if (seconds < 1e-3) return [(seconds * 1e6).toFixed(0), 'µs'];
          if (seconds < 1) return [(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0), 'ms'];
          return [seconds.toFixed(seconds < 10 ? 2 : 1), 's'];
        }
        const timeText = seconds => time(seconds).join(' ').trim();
        function ago(seconds) {
          const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
          return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min` : `${Math.floor(seconds)} s`;
        }

        // A quantile of a histogram's counts, linear inside the bucket.
        function quantile(h, q) {
          const total = h.counts.reduce((a, b) => a + b, 0);
          if (!total) return null;
          let rank = q * total, low = 0;
          for (let i = 0; i < h.counts.length; i++) {
            const high = h.bounds[i] ?? low;
            if (h.counts[i] >= rank && h.counts[i] > 0) return low + (high - low) * rank / h.counts[i];
            rank -= h.counts[i];
            low = high;
          }
          return low;
        }
        const minus = (a, b) => ({ bounds: a.bounds, counts: a.counts.map((n, i) => Math.max(0, n - (b ? b.counts[i] : 0))) });
        const size = h => h.counts.reduce((a, b) => a + b, 0);

        // What happened in the last minute; all since the start where nothing did, so that a quiet proxy shows numbers too.
        function recent(now) {
          const then = history.find(s => now.uptime_seconds - s.uptime_seconds <= WINDOW) || now;
          const moved = size(minus(now.latencies.first_token, then.latencies.first_token)) > 0;
          const base = moved ? then : null;
          const all = {};
          for (const [name, h] of Object.entries(now.latencies)) all[name] = minus(h, base && base.latencies[name]);
          return { all, label: moved ? `last ${Math.max(1, Math.round(now.uptime_seconds - then.uptime_seconds))} s` : 'since the start' };
        }
        // Differences from one sample to the next, a second.
        function rates(read) {
          const points = [];
          for (let i = 1; i < history.length; i++) {
            const seconds = history[i].uptime_seconds - history[i - 1].uptime_seconds;
            points.push(seconds > 0 ? Math.max(0, read(history[i]) - read(history[i - 1])) / seconds : 0);
          }
          return points;
        }
        const last = (points, n) => { const some = points.slice(-n); return some.length ? some.reduce((a, b) => a + b, 0) / some.length : 0; };

        function tile(label, value, unit, tone) {
          return el('div', { class: 'tile' }, el('b', { class: tone }, value, unit ? el('small', {}, unit) : null), el('span', {}, label));
        }
        function chart(label, points, shown, colour) {
          const svg = document.createElementNS(NS, 'svg');
          svg.setAttribute('viewBox', `0 0 ${KEEP} 48`);
          svg.setAttribute('preserveAspectRatio', 'none');
          svg.setAttribute('role', 'img');
          svg.setAttribute('aria-label', label);
          const top = Math.max(...points, 1e-9), left = KEEP - points.length;
          const line = points.map((p, i) => `${left + i},${(46 - 43 * p / top).toFixed(2)}`).join(' ');
          const draw = (name, attributes) => {
            const node = document.createElementNS(NS, name);
            for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
            svg.append(node);
          };
          draw('line', { x1: 0, x2: KEEP, y1: 46.5, y2: 46.5, stroke: 'var(--line)', 'vector-effect': 'non-scaling-stroke' });
          if (points.length > 1) {
            draw('polygon', { points: `${left},46.5 ${line} ${KEEP - 1},46.5`, fill: colour, opacity: .14 });
            draw('polyline', { points: line, fill: 'none', stroke: colour, 'stroke-width': 1.5, 'vector-effect': 'non-scaling-stroke' });
          }
          return el('div', { class: 'chart' }, el('p', {}, el('span', {}, label), el('b', {}, shown)), svg);
        }
        function table(columns, rows, empty) {
          if (!rows.length) return el('p', { class: 'muted', style: 'margin:0' }, empty);
          const cls = c => [c.n ? 'n' : '', c.wide ? 'w' : ''].join(' ').trim() || false;
          return el('table', {},
            el('thead', {}, el('tr', {}, columns.map(c => el('th', { class: cls(c) }, c.name)))),
            el('tbody', {}, rows.map(row => el('tr', {}, columns.map(c => el('td', { class: cls(c) }, c.cell(row)))))));
        }
        // How much of a capacity is used; of the largest value in a column, where there is no capacity to run out of.
        function bar(used, capacity, runsOut) {
          const part = capacity ? Math.min(1, used / capacity) : 0;
          return el('span', { class: runsOut && part > .9 ? 'bar full' : 'bar' }, el('i', { style: `width:${(100 * part).toFixed(1)}%` }));
        }

        function drawTiles(now, window) {
          const read = s => s.requests.finished, failed = s => s.requests.failed;
          const first = window.all.first_token, own = time(quantile(window.all.proxy, .5));
          const [p50, u50] = time(quantile(first, .5)), [p99, u99] = time(quantile(first, .99));
          const [each, uEach] = time(quantile(window.all.output_token, .5));
          const bad = last(rates(failed), 10);
          fill('tiles',
            tile('requests / s', rate(last(rates(read), 10))),
            tile('in flight', count(now.requests.in_flight), now.requests.waiting ? `+${now.requests.waiting} waiting` : ''),
            tile('first token, median', p50, u50), tile('first token, p99', p99, u99),
            tile('per token, median', each, uEach),
            tile('proxy’s own part', own[0], own[1]),
            tile('errors / s', rate(bad), '', bad > 0 ? 'bad' : ''),
            tile('KV leases leaked', count(now.requests.leases_leaked), '', now.requests.leases_leaked ? 'bad' : ''));
        }
        function drawStages(window) {
          const rows = [['queue', 'queue'], ['prefill', 'prefill'], ['handoff', 'hand-off'], ['decode_first_byte', 'first decode byte'], ['proxy', 'proxy itself']];
          const values = rows.map(([key]) => [quantile(window.all[key], .5), quantile(window.all[key], .99)]);
          const top = Math.max(...values.map(v => v[0] || 0), 1e-9);
          $('span').textContent = window.label;
          fill('stages',
            el('div', { class: 'stage head' }, el('span', {}, 'stage'), el('span', {}), el('span', { class: 'num' }, 'median'), el('span', { class: 'num' }, 'p99')),
            rows.map(([key, label], i) => el('div', { class: 'stage' },
              el('span', {}, el('i', { class: 'dot', style: `background:var(--${key})` }), label),
              el('span', { class: 'track' }, el('i', { style: `width:${(100 * (values[i][0] || 0) / top).toFixed(1)}%;background:var(--${key})` })),
              el('span', { class: 'num' }, timeText(values[i][0])), el('span', { class: 'num muted' }, timeText(values[i][1])))));
        }
        function drawTraffic(now) {
          const served = rates(s => s.requests.finished), failed = rates(s => s.requests.failed);
          fill('traffic', chart('requests / s', served, rate(last(served, 5)), 'var(--accent)'),
            chart('in flight', history.map(s => s.requests.in_flight), count(now.requests.in_flight), 'var(--decode_first_byte)'),
            chart('errors / s', failed, rate(last(failed, 5)), 'var(--bad)'));
        }
        function drawPool(now, role) {
          const rows = now.backends.filter(b => b.role === role), most = Math.max(1, ...rows.map(b => b.in_flight));
          const before = history.length > 10 ? history[history.length - 11] : history[0];
          const perSecond = b => {
            const old = before.backends.find(o => o.id === b.id), seconds = now.uptime_seconds - before.uptime_seconds;
            return old && seconds > 0 ? rate(Math.max(0, b.picks - old.picks) / seconds) : '–';
          };
          const columns = [
            { name: 'backend', cell: b => [b.id, el('span', { class: 'sub' }, b.url.replace('http://', ''))] },
            { name: 'state', cell: b => [el('span', { class: 'pill ' + b.state }, b.cause || b.state),
              b.needs_restart ? el('span', { class: 'sub warn' }, 'needs a restart') : null,
              b.pending ? el('span', { class: 'sub' }, 'then ' + b.pending) : null] },
            { name: 'in flight', cell: b => [bar(b.in_flight, most), count(b.in_flight)] },
            { name: 'requests / s', n: 1, cell: perSecond },
            role === 'prefill'
              ? { name: 'queued tokens', n: 1, wide: 1, cell: b => count(b.queued_tokens) }
              : { name: 'KV reserved', wide: 1, cell: b => b.kv_chunks ? [bar(b.kv_chunks.used, b.kv_chunks.capacity, true), `${b.kv_chunks.used} / ${b.kv_chunks.capacity}`] : '–' },
            { name: 'first token', n: 1, wide: 1, cell: b => timeText(b.time_to_first_token_seconds) },
            role === 'prefill'
              ? { name: 'open hand-offs', n: 1, wide: 1, cell: b => count(b.open_handoffs) }
              : { name: 'per token', n: 1, wide: 1, cell: b => timeText(b.time_per_token_seconds) },
            { name: 'engine: run / wait', n: 1, wide: 1, cell: b => b.engine && !b.engine.stale ? `${count(b.engine.running)} / ${count(b.engine.waiting)}` : '–' },
            { name: 'KV in use', n: 1, wide: 1, cell: b => b.engine && !b.engine.stale && b.engine.kv_usage != null ? (100 * b.engine.kv_usage).toFixed(0) + ' %' : '–' },
            { name: 'breaker', wide: 1, cell: b => el('span', { class: b.breaker === 'closed' ? 'muted' : 'warn' }, b.breaker) },
            { name: 'weight', n: 1, wide: 1, cell: b => String(b.weight) },
            { name: 'failures', n: 1, wide: 1, cell: b => el('span', { class: b.failures ? 'bad' : 'muted' }, count(b.failures)) }];
          fill(role, table(columns, rows, role === 'prefill' ? 'No prefill backends: decode engines serve alone.' : 'No decode backends.'));
        }
        function drawDecisions(now) {
          const columns = [
            { name: 'time', cell: d => d.time.slice(11, 19) },
            { name: 'status', cell: d => el('span', { class: 'pill ' + (d.status >= 500 ? 'down' : d.status >= 400 ? 'draining' : 'up') }, String(d.status)) },
            { name: 'pair', cell: d => [d.prefill ? `${d.prefill} → ${d.decode || '–'}` : d.decode || '–', el('span', { class: 'sub' }, d.reason)] },
            { name: 'endpoint', wide: 1, cell: d => el('code', {}, d.path) },
            { name: 'first token', n: 1, cell: d => timeText(d.first_byte_ms == null ? null : d.first_byte_ms / 1e3) },
            { name: 'total', n: 1, wide: 1, cell: d => timeText(d.total_ms == null ? null : d.total_ms / 1e3) },
            { name: 'retries', n: 1, wide: 1, cell: d => d.retries || '–' },
            { name: 'bytes out', n: 1, wide: 1, cell: d => count(d.bytes_out) },
            { name: 'request', wide: 1, cell: d => el('code', { title: d.request_id }, d.request_id.slice(0, 18)) }];
          fill('decisions', table(columns, now.decisions.slice(0, 20), 'No request yet.'));
        }
        function draw(now) {
          const window = recent(now);
          const up = role => now.backends.filter(b => b.role === role && b.state === 'up').length;
          const ok = up('decode') > 0 && (now.handoff === 'none' || up('prefill') > 0);
          $('health').className = 'pill ' + (ok ? 'up' : 'down');
          $('health').textContent = ok ? 'serving' : 'not ready';
          $('about').textContent = `${now.version} · hand-off ${now.handoff} · ${up('prefill')} prefill, ${up('decode')} decode up · running ${ago(now.uptime_seconds)}`;
          const notices = [];
          if (now.reload.error) notices.push('The deployment file was refused, the former one stays in force:\n' + now.reload.error);
          const marked = now.backends.filter(b => b.needs_restart).map(b => b.id);
          if (marked.length) notices.push(`A decode engine was restarted. Restart ${marked.join(', ')}: LMCache does not reconnect.`);
          $('notice').hidden = !notices.length;
          $('notice').textContent = notices.join('\n');
          drawTiles(now, window);
          drawStages(window);
          drawTraffic(now);
          drawPool(now, 'prefill');
          drawPool(now, 'decode');
          drawDecisions(now);
          $('reload').textContent = now.reload.file ? `deployment ${now.reload.file}` + (now.reload.applied ? `, taken over ${now.reload.time.slice(0, 19).replace('T', ' ')} UTC` : '') : '';
          $('main').hidden = false;
        }
        async function poll() {
          let wait = 1000;
          try {
            const answer = await fetch('/admin/v1/status', { headers: token ? { Authorization: 'Bearer ' + token } : {}, cache: 'no-store' });
            if (answer.status === 401) {
              $('wrong').textContent = token ? 'This token was refused.' : '';
              sessionStorage.removeItem('disagg-token');
              token = '';
              $('login').hidden = false;
              $('health').textContent = 'locked';
              $('main').hidden = true;
              return;
            }
            if (!answer.ok) throw new Error('status ' + answer.status);
            const now = await answer.json();
            // A proxy that was started anew counts from zero.
            if (history.length && now.uptime_seconds < history[history.length - 1].uptime_seconds) history = [];
            history.push(now);
            if (history.length > KEEP) history.shift();
            $('login').hidden = true;
            draw(now);
          } catch (error) {
            $('health').className = 'pill down';
            $('health').textContent = 'no answer';
            wait = 2000;
          }
          setTimeout(poll, document.hidden ? 5000 : wait);
        }
        $('login').addEventListener('submit', event => {
          event.preventDefault();
          token = $('token').value.trim();
          sessionStorage.setItem('disagg-token', token);
          $('token').value = '';
          poll();
        });
        poll();
        """#
}
