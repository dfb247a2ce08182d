import { load } from '../bundle/index.js';

const SIDE = 28;
/** MNIST digits fit a box of 20 pixels, centred by their mass. */
const BOX = 20;

const pad = document.querySelector('#pad');
const context = pad.getContext('2d', { willReadFrequently: true });
const answer = document.querySelector('#answer');
const status = document.querySelector('#status');
const rows = Array.from({ length: 10 }, (_, digit) => {
  const row = document.createElement('li');
  const label = document.createElement('span');
  label.textContent = String(digit);
  const bar = document.createElement('span');
  bar.className = 'bar';
  const fill = document.createElement('i');
  bar.append(fill);
  const value = document.createElement('span');
  row.append(label, bar, value);
  document.querySelector('#bars').append(row);
  return { fill, value };
});

const model = await load();
status.textContent = `${(model.info.memoryBytes / 2 ** 20).toFixed(1)} MiB of memory, fixed when the network was compiled.`;

context.lineWidth = 26;
context.lineCap = 'round';
context.lineJoin = 'round';
context.strokeStyle = '#fff';

let drawing = false;
const at = (event) => {
  const box = pad.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * pad.width) / box.width,
    ((event.clientY - box.top) * pad.height) / box.height,
  ];
};
pad.addEventListener('pointerdown', (event) => {
  drawing = true;
  pad.setPointerCapture(event.pointerId);
  context.beginPath();
  context.moveTo(...at(event));
  context.lineTo(...at(event));
  context.stroke();
});
pad.addEventListener('pointermove', (event) => {
  if (!drawing) return;
  context.lineTo(...at(event));
  context.stroke();
});
pad.addEventListener('pointerup', () => {
  drawing = false;
  classify();
});
document.querySelector('#clear').addEventListener('click', () => {
  context.clearRect(0, 0, pad.width, pad.height);
  answer.textContent = '–';
  show(new Array(10).fill(0));
});

/** The drawing as the network knows digits: scaled to the box, its centre of mass in the middle. */
function image() {
  const { data } = context.getImageData(0, 0, pad.width, pad.height);
  let left = pad.width;
  let right = -1;
  let top = pad.height;
  let bottom = -1;
  for (let y = 0; y < pad.height; y++) {
    for (let x = 0; x < pad.width; x++) {
      if (data[(y * pad.width + x) * 4 + 3] === 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  if (right < 0) return undefined;
  const scale = BOX / Math.max(right - left + 1, bottom - top + 1);
  const draw = (dx, dy) => {
    const small = new OffscreenCanvas(SIDE, SIDE).getContext('2d');
    small.imageSmoothingQuality = 'high';
    const width = (right - left + 1) * scale;
    const height = (bottom - top + 1) * scale;
    small.drawImage(
      pad,
      left,
      top,
      right - left + 1,
      bottom - top + 1,
      (SIDE - width) / 2 + dx,
      (SIDE - height) / 2 + dy,
      width,
      height,
    );
    const { data: rgba } = small.getImageData(0, 0, SIDE, SIDE);
    return Float32Array.from({ length: SIDE * SIDE }, (_, i) => rgba[i * 4 + 3] / 255);
  };
  const first = draw(0, 0);
  let mass = 0;
  let mx = 0;
  let my = 0;
  first.forEach((v, i) => {
    mass += v;
    mx += v * (i % SIDE);
    my += v * Math.floor(i / SIDE);
  });
  return draw((SIDE - 1) / 2 - mx / mass, (SIDE - 1) / 2 - my / mass);
}

async function classify() {
  const pixels = image();
  if (!pixels) return;
  const start = performance.now();
  const { logits } = await model.run({ image: pixels });
  const milliseconds = performance.now() - start;
  const exponentials = Array.from(logits, (v) => Math.exp(v - Math.max(...logits)));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  const probabilities = exponentials.map((v) => v / sum);
  answer.textContent = String(probabilities.indexOf(Math.max(...probabilities)));
  show(probabilities);
  status.textContent = `Answered in ${milliseconds.toFixed(1)} ms.`;
}

function show(probabilities) {
  probabilities.forEach((p, digit) => {
    rows[digit].fill.style.width = `${100 * p}%`;
    rows[digit].value.textContent = `${(100 * p).toFixed(1)} %`;
  });
}
