// Prints the memory of the page, minute by minute, while chains run without WebGPU: node web/tests/memory.mjs [MINUTES]
// Of all renderer processes (page and worker), what the system has in memory; Linux only.
import { readdirSync, readFileSync } from 'node:fs';
import { open, sleep } from './browser.mjs';

const minutes = Number(process.argv[2] ?? 10);
// Each page is closed below.
const test = { after() {} };

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

for (const [name, before] of [
  ['a computer', () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 8 })],
  ['a phone', () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 4 })],
]) {
  const { page, until, close } = await open(test, '?num_steps=100000&play=true', { kind: 'no webgpu', before });
  await until('chains that run', (s) => s.last_step > 1);
  for (let minute = 0; minute <= minutes; minute += 1) {
    const { last_step: step } = await page.evaluate(() => globalThis.jempp.state());
    console.log(`${name}, minute ${minute}: ${resident().toFixed(0)} MiB, step ${step}`);
    if (minute < minutes) await sleep(60_000);
  }
  await close();
}
