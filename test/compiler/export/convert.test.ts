import { expect, test } from 'vitest';
import { useCli } from '../../support/cli.ts';

const cli = useCli();
const NET = { input: { name: 'image', shape: [4, 12, 12] }, layers: [{ conv: 8 }] };

test('the open batch of a description is lost in an ONNX file without a note', async () => {
  await cli.write('net.json', JSON.stringify(NET));
  const note =
    'note[batch-assumed] image: the batch dimension (batch) of image was not given and is taken as 1\n  hint: give it with --dim batch=SIZE';
  expect((await cli.run(['convert', 'net.json', '-o', 'net.onnx'])).stderr).toContain(note);
  const given = await cli.run(['convert', 'net.json', '-o', 'net.onnx', '--dim', 'batch=2']);
  expect(given.code).toBe(0);
  expect(given.stderr).not.toContain('batch-assumed');
  expect((await cli.run(['convert', 'net.json', '-o', 'other.json'])).stderr).not.toContain('batch-assumed');
});
