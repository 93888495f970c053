// Prints the memory of the page, minute by minute, while chains run without WebGPU: node web/tests/memory.mjs [MINUTES]
// Of all renderer processes (page and worker), what the system has in memory; Linux only. At the end it says whether that is flat.
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { mean, open, sleep } from './browser.mjs';

const minutes = Number(process.argv[2] ?? 10);
/** Memory is flat if it is at most this fraction higher in the last quarter of the minutes than in the quarter before. */
const FLAT = 0.05;

/** The resident memory of all renderer processes of the browsers that run, in MiB. */
function resident() {
  let sum = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('--type=renderer')) continue;
      sum += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;
    } catch {
      // It has just ended.
    }
  }
  return sum;
}

/** Whether the memory of each minute has come to rest, in words. */
function verdict(used) {
  const quarter = Math.ceil(used.length / 4);
  const [before, last] = [used.slice(-2 * quarter, -quarter), used.slice(-quarter)].map(mean);
  const word = last <= (1 + FLAT) * before ? 'flat' : 'still growing';
  return `${word}: ${last.toFixed(0)} MiB in the last quarter, ${before.toFixed(0)} MiB in the quarter before`;
}

for (const [name, before] of [
  ['a computer', () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 8 })],
  ['a phone', () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 4 })],
]) {
  test(name, async (t) => {
    const { page, until } = await open(t, '?num_steps=100000&play=true', { kind: 'no webgpu', before });
    await until('chains that run', (s) => s.last_step > 1);
    const used = [];
    for (let minute = 0; minute <= minutes; minute += 1) {
      const { last_step: step } = await page.evaluate(() => globalThis.jempp.state());
      used.push(resident());
      console.log(`${name}, minute ${minute}: ${used.at(-1).toFixed(0)} MiB, step ${step}`);
      if (minute < minutes) await sleep(60_000);
    }
    console.log(`${name}, ${verdict(used)}`);
  });
}
