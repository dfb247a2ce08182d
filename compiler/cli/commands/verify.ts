import { stat } from 'node:fs/promises';
import { fail } from '#ir/diagnostics.ts';
import { folderReader, readManifest, requireSoundBundle } from '../../files/bundle.ts';
import { systemReason } from '../../files/read-file.ts';
import { bytes, plain } from '../../report/format.ts';
import type { CommandContext } from '../program.ts';

export interface VerifyArguments {
  readonly format: 'table' | 'json';
}

/** @throws CompileError `bundle-corrupt` with everything that is wrong */
export async function runVerify(
  folder: string,
  { format }: VerifyArguments,
  { terminal }: CommandContext,
): Promise<void> {
  const found = await stat(folder).catch((error: unknown) =>
    fail('file-unreadable', folder, systemReason(error)),
  );
  if (!found.isDirectory()) {
    fail(
      'file-unreadable',
      folder,
      'this is a file; a bundle is a folder',
      'give the folder that compile wrote',
    );
  }
  await requireSoundBundle(folderReader(folder));
  const { name, files, generator, selfTest, wasm } = await readManifest(folder);
  const entries = Object.values(files);
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  // devices are not asked here
  const samples = wasm ? selfTest.outputs.reduce((sum, output) => sum + output.samples, 0) : 0;
  if (format === 'json') {
    const verified = { sound: true, name, generator, files: entries.length, bytes: total, elements: samples };
    terminal.print(JSON.stringify(verified, null, 2));
    return;
  }
  const c = terminal.colours;
  terminal.print(
    `${c.green('sound')}: ${c.bold(plain(name))}, made by ${plain(generator)}\n` +
      `  ${entries.length} files, ${bytes(total)}, are those that the manifest lists\n` +
      (wasm
        ? `  the self-test gives the expected outputs (${samples} elements compared)`
        : '  the self-test runs on a GPU only: load({ verify: true }) compares its outputs there'),
  );
}
