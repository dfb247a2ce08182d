/** The script of `demo.html`: plain JavaScript, the same for every network. Names reach the page by textContent only. */
export const DEMO_SCRIPT = `import { load } from './index.js';

const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const size = (shape) => shape.reduce((a, b) => a * b, 1);
const format = (x) => typeof x === 'bigint' ? String(x) : Number(x).toPrecision(5);
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1) + ' MiB';
const arrays = { f32: Float32Array, i8: Int8Array, u8: Uint8Array, i16: Int16Array, u16: Uint16Array, i32: Int32Array,
  u32: Uint32Array, i64: BigInt64Array, u64: BigUint64Array, bool: Uint8Array };

/** How a picture's bytes become the network's floats: value * scale + shift, per channel. */
const ranges = {
  '0 … 1': () => [1 / 255, 0],
  '−1 … 1': () => [1 / 127.5, -1],
  '0 … 255': () => [1, 0],
  'ImageNet mean and deviation': (c) => {
    const [mean, deviation] = [[0.485, 0.456, 0.406][c] ?? 0.449, [0.229, 0.224, 0.225][c] ?? 0.226];
    return [1 / 255 / deviation, -mean / deviation];
  },
};

function main(model) {
  const { info } = model;
  $('facts').textContent = [info.backend, (info.macs / 1e6).toFixed(1) + ' M multiply-accumulates',
    (info.parameters / 1e6).toFixed(2) + ' M parameters', mebibytes(info.memoryBytes) + ' of memory', info.generator].join(' · ');
  const inputs = info.inputs.map(inputPanel);
  $('inputs').append(...inputs.map((input) => input.element));
  const run = async (times = 1) => {
    const values = {};
    for (const [i, { name }] of info.inputs.entries()) {
      Object.defineProperty(values, name, { value: inputs[i].read(), enumerable: true });
    }
    try {
      let outputs;
      const start = performance.now();
      for (let i = 0; i < times; i++) outputs = await model.run(values);
      const time = (performance.now() - start) / times;
      $('time').textContent = time.toFixed(time < 10 ? 2 : 1) + ' ms' + (times > 1 ? ' on average' : '');
      $('outputs').replaceChildren(...info.outputs.map((output) => outputPanel(output, outputs[output.name])));
      document.body.dataset.runs = Number(document.body.dataset.runs ?? 0) + times;
    } catch (error) {
      report(error);
    }
  };
  for (const input of inputs) input.onChange = () => run();
  $('run').onclick = () => run();
  $('bench').onclick = () => run(20);
  $('random').onclick = () => {
    for (const input of inputs) input.randomise();
    run();
  };
  $('panels').hidden = false;
  $('random').click();
}

const heading = ({ name, dtype, shape }) =>
  make('h3', {}, name + ' ', make('small', { textContent: dtype + ' ' + (shape.join('×') || 'scalar') }));

const isPicture = ({ dtype, shape }) =>
  dtype === 'f32' && shape.length === 4 && shape[0] === 1 && (shape[1] === 1 || shape[1] === 3) && shape[2] > 1 && shape[3] > 1;

/** The network may take the bytes of a picture, and normalise them itself. */
const takesBytes = ({ pixels, shape }) => pixels !== undefined && shape[0] === 1;

const inputPanel = (tensor) => (takesBytes(tensor) || isPicture(tensor) ? picturePanel(tensor) : plainPanel(tensor));

function plainPanel(tensor) {
  const Type = arrays[tensor.dtype];
  const data = new Type(size(tensor.shape));
  const wide = data instanceof BigInt64Array || data instanceof BigUint64Array;
  const element = make('div', { className: 'tensor' }, heading(tensor), make('div', { className: 'note', textContent: 'random values' }));
  return {
    element,
    read: () => ({ data, shape: tensor.shape }),
    randomise() {
      for (let i = 0; i < data.length; i++) {
        const bit = Math.random() < 0.5 ? 0 : 1;
        data[i] = wide ? BigInt(bit) : tensor.dtype === 'f32' ? Math.random() * 2 - 1 : tensor.pixels ? Math.random() * 256 : bit;
      }
    },
  };
}

/** A canvas to draw on, load a picture into, or fill at random. */
function picturePanel(tensor) {
  const bytes = takesBytes(tensor);
  const [, a, b, c] = tensor.shape;
  const [channels, height, width] = bytes ? [c, a, b] : [a, b, c];
  const canvas = make('canvas', { width, height, className: 'pad' });
  canvas.setAttribute('aria-label', 'input picture; draw with the pointer');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const range = make('select', { title: 'range of the values' }, ...Object.keys(ranges).map((name) => make('option', { textContent: name })));
  if (channels === 3) range.value = 'ImageNet mean and deviation';
  const file = make('input', { type: 'file', accept: 'image/*' });
  const clear = make('button', { textContent: 'Clear' });
  const panel = {
    element: make('div', { className: 'tensor' }, heading(tensor), canvas,
      make('div', { className: 'row' }, make('label', { className: 'file' }, 'Open picture…', file), clear, ...(bytes ? [] : [range]))),
    onChange() {},
    read() {
      const image = context.getImageData(0, 0, width, height);
      if (bytes) return { data: bytesOf(image, channels), shape: tensor.shape };
      const pixels = image.data;
      const data = new Float32Array(size(tensor.shape));
      for (let c = 0; c < channels; c++) {
        const [scale, shift] = ranges[range.value](c);
        for (let i = 0; i < width * height; i++) {
          const at = 4 * i;
          const value = channels === 1 ? 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2] : pixels[at + c];
          data[c * width * height + i] = value * scale + shift;
        }
      }
      return { data, shape: tensor.shape };
    },
    randomise() {
      const image = context.createImageData(width, height);
      for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
      if (channels === 1) for (let i = 0; i < image.data.length; i += 4) image.data[i + 1] = image.data[i + 2] = image.data[i];
      context.putImageData(image, 0, 0);
    },
  };
  const blank = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, width, height);
  };
  blank();
  range.onchange = () => panel.onChange();
  clear.onclick = () => {
    blank();
    panel.onChange();
  };
  file.onchange = async () => {
    const [picked] = file.files;
    if (!picked) return;
    const bitmap = await createImageBitmap(picked);
    const zoom = Math.max(width / bitmap.width, height / bitmap.height);
    context.drawImage(bitmap, (width - bitmap.width * zoom) / 2, (height - bitmap.height * zoom) / 2, bitmap.width * zoom, bitmap.height * zoom);
    panel.onChange();
  };
  let last;
  const draw = (event) => {
    const box = canvas.getBoundingClientRect();
    const at = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    Object.assign(context, { strokeStyle: '#fff', lineWidth: Math.max(width, height) / 14, lineCap: 'round', lineJoin: 'round' });
    context.beginPath();
    context.moveTo(...(last ?? at));
    context.lineTo(...at);
    context.stroke();
    last = at;
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    draw(event);
  };
  canvas.onpointermove = (event) => {
    if (event.buttons) draw(event);
  };
  canvas.onpointerup = () => {
    last = undefined;
    panel.onChange();
  };
  return panel;
}

/** The bytes of an ImageData with as many channels as the network takes. */
function bytesOf({ data, width, height }, channels) {
  if (channels === 4) return data;
  const some = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    const values = channels === 1 ? [Math.round(0.299 * red + 0.587 * green + 0.114 * blue)] : [red, green, blue];
    values.forEach((value, c) => { some[i * channels + c] = value; });
  }
  return some;
}

function outputPanel(tensor, data) {
  const body = isPicture(tensor) ? pictureOf(tensor, data) : data.length <= 4096 ? barsOf(data) : statisticsOf(data);
  return make('div', { className: 'tensor' }, heading(tensor), ...body);
}

function pictureOf(tensor, data) {
  const [, channels, height, width] = tensor.shape;
  let [low, high] = [Infinity, -Infinity];
  for (const x of data) [low, high] = [Math.min(low, x), Math.max(high, x)];
  const canvas = make('canvas', { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = (255 * (data[(channels === 3 ? c : 0) * width * height + i] - low)) / (high - low || 1);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  return [canvas, make('div', { className: 'note', textContent: 'black is ' + format(low) + ', white is ' + format(high) })];
}

/** The ten largest values, with their positions; all of a short list in order. */
function barsOf(data) {
  const all = Array.from(data, (value, index) => ({ value: Number(value), index }));
  const shown = data.length <= 12 ? all : all.sort((a, b) => b.value - a.value).slice(0, 10);
  const values = shown.map((s) => s.value).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const bars = shown.map(({ value, index }) => {
    const fill = make('i');
    fill.style.width = Math.max(0, Math.min(100, (100 * (value - low)) / (high - low || 1))) + '%';
    return make('div', { className: 'bar' }, make('span', { textContent: '[' + index + ']' }), make('div', {}, fill), make('span', { textContent: format(value) }));
  });
  if (data.length > 12) bars.push(make('div', { className: 'note', textContent: 'the 10 largest of ' + data.length }));
  return bars;
}

function statisticsOf(data) {
  let [low, high, sum] = [Infinity, -Infinity, 0];
  for (const x of data) {
    const value = Number(x);
    [low, high, sum] = [Math.min(low, value), Math.max(high, value), sum + value];
  }
  return [make('div', { className: 'note', textContent: data.length + ' values from ' + format(low) + ' to ' + format(high) + ', mean ' + format(sum / data.length) })];
}

function report(error) {
  $('problem').hidden = false;
  $('problem').textContent = error.message;
}

addEventListener('error', (event) => report(event.error ?? event));
try {
  const onProgress = (stage, fraction) => {
    $('facts').textContent = 'Loading: ' + stage + ' ' + Math.round(100 * fraction) + ' %';
  };
  main(await load({ onProgress }));
} catch (error) {
  $('facts').textContent = 'The model could not be loaded.';
  report(error);
}
`;
