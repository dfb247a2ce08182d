import { encode as encodePng } from 'fast-png';
import jpeg from 'jpeg-js';
import { expect, test } from 'vitest';
import { decodeImage } from '#compiler/files/image.ts';

const png = (channels: number, depth: 1 | 8 | 16, data: Uint8Array | Uint16Array, width = 2, height = 1) =>
  encodePng({ width, height, channels, depth, data });

test.each<[string, Uint8Array, readonly number[]]>([
  ['RGBA', png(4, 8, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)), [1, 2, 3, 4, 5, 6, 7, 8]],
  ['RGB', png(3, 8, Uint8Array.of(1, 2, 3, 5, 6, 7)), [1, 2, 3, 255, 5, 6, 7, 255]],
  ['gray', png(1, 8, Uint8Array.of(9, 200)), [9, 9, 9, 255, 200, 200, 200, 255]],
  ['gray with alpha', png(2, 8, Uint8Array.of(9, 10, 11, 0)), [9, 9, 9, 10, 11, 11, 11, 0]],
  ['16 bits', png(1, 16, Uint16Array.of(257, 65535)), [1, 1, 1, 255, 255, 255, 255, 255]],
])('PNG, %s', async (_, file, expected) => {
  const { width, height, data } = await decodeImage(file, 'a.png');
  expect([width, height]).toEqual([2, 1]);
  expect(Array.from(data, (x) => Math.round(x * 1e4) / 1e4)).toEqual(expected);
});

test('PNG, 16 bits keep their fractions', async () => {
  const { data } = await decodeImage(png(1, 16, Uint16Array.of(128, 1)), 'a.png');
  expect(data[0]).toBeCloseTo(128 / 257, 6);
});

test('PNG, one bit per pixel in rows of odd width', async () => {
  const file = png(1, 1, Uint8Array.of(0b10100000, 0b01000000), 3, 2);
  const { data } = await decodeImage(file, 'a.png');
  expect(Array.from({ length: 6 }, (_, i) => data[4 * i])).toEqual([255, 0, 255, 0, 255, 0]);
});

test('JPEG', async () => {
  const gray = new Uint8Array(4 * 64).fill(100);
  const file = jpeg.encode({ width: 8, height: 8, data: gray }, 95).data;
  const { width, height, data } = await decodeImage(file, 'a.jpg');
  expect([width, height, data.length]).toEqual([8, 8, 256]);
  expect(Math.abs((data[0] ?? 0) - 100)).toBeLessThan(3);
  expect(data[3]).toBe(255);
});

test('the orientation that a camera noted is not applied', async () => {
  const plain = jpeg.encode({ width: 16, height: 8, data: new Uint8Array(4 * 128).fill(100) }, 95).data;
  // an EXIF segment with one entry, Orientation 6: turn by a quarter
  const exif = Buffer.from('ffe1002245786966000049492a0008000000010012010300010000000600000000000000', 'hex');
  const file = Buffer.concat([plain.subarray(0, 2), exif, plain.subarray(2)]);
  const { width, height } = await decodeImage(file, 'a.jpg');
  expect([width, height]).toEqual([16, 8]);
});

test('what is damaged, or something else, is told', async () => {
  const file = png(4, 8, new Uint8Array(4 * 4096).fill(7), 64, 64);
  const flipped = file.slice();
  flipped[flipped.length - 20] = (flipped.at(-20) ?? 0) ^ 1;
  for (const bytes of [file.subarray(0, 30), file.subarray(0, -30), flipped]) {
    await expect(decodeImage(bytes, 'a.png')).rejects.toThrow('this PNG file is damaged');
  }
  await expect(decodeImage(Uint8Array.of(0xff, 0xd8, 1, 2), 'a.jpg')).rejects.toThrow(
    'this JPEG file is damaged',
  );
  await expect(decodeImage(new TextEncoder().encode('GIF89a'), 'a.png')).rejects.toThrow(
    'neither a PNG nor a JPEG',
  );
  const huge = file.slice();
  new DataView(huge.buffer).setUint32(16, 2 ** 30);
  await expect(decodeImage(huge, 'a.png')).rejects.toThrow('1073741824×64 pixels');
});
