// W1 and W2 in the browser. `esbuild` bundles this; `browser.mjs` opens it and calls `globalThis.measure`.
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import * as jax from '@jax-js/jax';

const SLOPE = 0.2;
const BASE = [[32, 1], [32, 1], [64, 2], [64, 1], [128, 2], [128, 1]];
const TINY = [[32, 1], [32, 1]];
const WORKS = { W1: [BASE, 28], W2: [TINY, 8] };
const BATCH = 64;
const STEP_SIZE = 1.0;
const RADIUS = 1.0;
const NOISE_STD = 0.01;

/** One proximal step in TensorFlow.js, (N, H, W, C). Returns a function that steps and waits. */
function tensorflow(plan, size) {
  let inputs = 1;
  const layers = plan.map(([outputs, stride]) => {
    const deviation = Math.sqrt(2 / (9 * inputs));
    const weight = tf.randomNormal([3, 3, inputs, outputs], 0, deviation);
    inputs = outputs;
    return { weight, bias: tf.zeros([outputs]), stride };
  });
  const linear = tf.randomNormal([inputs, 10], 0, 0.1);
  const energy = (x) => {
    let z = x;
    for (const { weight, bias, stride } of layers) {
      z = tf.leakyRelu(tf.add(tf.conv2d(z, weight, stride, 'same'), bias), SLOPE);
    }
    return tf.neg(tf.sum(tf.logSumExp(tf.matMul(tf.mean(z, [1, 2]), linear), 1)));
  };
  const gradient = tf.grad(energy);
  let x = tf.randomUniform([BATCH, size, size, 1], -1, 1);
  return async () => {
    const next = tf.tidy(() => {
      const move = tf.mul(tf.clipByValue(gradient(x), -RADIUS, RADIUS), STEP_SIZE);
      return tf.add(tf.sub(x, move), tf.randomNormal(x.shape, 0, NOISE_STD));
    });
    x.dispose();
    x = next;
    // Reading one number waits for all of it.
    const corner = tf.slice(x, [0, 0, 0, 0], [1, 1, 1, 1]);
    await corner.data();
    corner.dispose();
  };
}

/** One proximal step in jax-js, (N, C, H, W), compiled as one function. */
function jaxjs(plan, size) {
  const np = jax.numpy;
  let seed = 0;
  const key = () => jax.random.key(seed++);
  let inputs = 1;
  const layers = plan.map(([outputs, stride]) => {
    const deviation = Math.sqrt(2 / (9 * inputs));
    const weight = jax.random.normal(key(), [outputs, inputs, 3, 3]).mul(deviation);
    inputs = outputs;
    return { weight, bias: np.zeros([1, outputs, 1, 1]), stride };
  });
  const linear = jax.random.normal(key(), [inputs, 10]).mul(0.1);
  const energy = (x, weights, head) => {
    let z = x;
    weights.forEach(({ weight, bias }, index) => {
      const stride = plan[index][1];
      const conv = jax.lax.convGeneralDilated(z, weight, [stride, stride], [[1, 1], [1, 1]]);
      z = jax.nn.leakyRelu(conv.add(bias), SLOPE);
    });
    const logits = np.matmul(np.mean(z, [2, 3]), head);
    return np.sum(jax.nn.logsumexp(logits, 1)).neg();
  };
  const gradient = jax.grad(energy);
  const step = jax.jit((x, weights, head, noise) => {
    const move = np.clip(gradient(x.ref, weights, head), -RADIUS, RADIUS).mul(STEP_SIZE);
    return x.sub(move).add(noise.mul(NOISE_STD));
  });
  const held = layers.map(({ weight, bias }) => ({ weight, bias }));
  const borrow = () => held.map(({ weight, bias }) => ({ weight: weight.ref, bias: bias.ref }));
  const shape = [BATCH, 1, size, size];
  let x = jax.random.uniform(key(), shape).mul(2).sub(1);
  return async () => {
    x = step(x, borrow(), linear.ref, jax.random.normal(key(), shape));
    await jax.blockUntilReady(x.ref);
  };
}

const PEERS = {
  'tfjs-webgpu': async () => { await tf.setBackend('webgpu'); return tensorflow; },
  'tfjs-wasm': async () => {
    setWasmPaths('/');
    setThreadsCount(2);
    await tf.setBackend('wasm');
    return tensorflow;
  },
  'jaxjs-webgpu': async () => { await jax.init('webgpu'); jax.defaultDevice('webgpu'); return jaxjs; },
  'jaxjs-wasm': async () => { await jax.init('wasm'); jax.defaultDevice('wasm'); return jaxjs; },
};

/** Times in ms of `repetitions` steps of `work` in `peer`, and of the first one. */
globalThis.measure = async (peer, work, repetitions) => {
  const make = await PEERS[peer]();
  const step = make(...WORKS[work]);
  const timed = async () => {
    const begin = performance.now();
    await step();
    return performance.now() - begin;
  };
  const first = await timed();
  await timed();
  const times = [];
  for (let index = 0; index < repetitions; index += 1) times.push(await timed());
  return { first, times };
};

globalThis.adapter = async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  const info = adapter?.info;
  return info ? [info.vendor, info.architecture, info.description].filter(Boolean).join(' ') : null;
};
globalThis.ready = true;
