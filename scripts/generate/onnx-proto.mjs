import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * onnx-proto's generated code, cut down to decoding and encoding and made safe for hostile input: the text of an
 * ES module and of its types. Each edit must match as often as it says, so that a new version cannot slip through.
 */
export async function generateOnnxProto() {
  const result = await build({
    entryPoints: [join(here, 'onnx-proto-entry.js')],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [onnxProto],
  });
  const [output] = result.outputFiles;
  if (!output) throw new Error('esbuild wrote nothing');
  const forbidden = /\beval\b|\bnew Function\b|[^.\w]Function\(|\brequire\(/.exec(output.text);
  if (forbidden) throw new Error(`onnx-proto.js must not use ${forbidden[0]}`);
  return {
    code: output.text,
    types: readFileSync(join(here, 'onnx-proto.d.ts'), 'utf8'),
    packages: bundledPackages(result.metafile),
  };
}

const onnxProto = {
  name: 'onnx-proto',
  setup(esbuild) {
    esbuild.onResolve({ filter: /^protobufjs\/minimal$/ }, () => ({
      path: join(here, 'protobuf-runtime.js'),
    }));
    // protobufjs works without it, and it would compile WebAssembly at import
    esbuild.onResolve({ filter: /^long$/ }, () => ({ path: 'long', namespace: 'absent' }));
    esbuild.onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'module.exports = null;' }));
    esbuild.onLoad({ filter: /onnx-proto[\\/]dist[\\/]onnx\.js$/ }, ({ path }) => ({
      contents: rewrite(readFileSync(path, 'utf8')),
    }));
  },
};

const typedFields = {
  floatData: 'Float32Array',
  doubleData: 'Float64Array',
  int32Data: 'Int32Array',
  int64Data: 'BigInt64Array',
  uint64Data: 'BigUint64Array',
};

function rewrite(source) {
  const edit = (pattern, replacement, times) => {
    let count = 0;
    source = source.replace(pattern, (...match) => {
      count += 1;
      return typeof replacement === 'string' ? replacement : replacement(...match);
    });
    if (count !== times) throw new Error(`onnx-proto: ${pattern} matched ${count} times, not ${times}`);
  };
  // 21 messages, each with a JSON side that nothing here uses
  edit(
    /^( +)\w+\.(?:verify|fromObject|toObject|encodeDelimited|decodeDelimited) = function[\s\S]*?^\1};\n/gm,
    '',
    105,
  );
  edit(/^( +)\w+\.prototype\.toJSON = function[\s\S]*?^\1};\n/gm, '', 21);
  // repeated scalars: 5 typed ones in a tensor; floats, ints and the dims of two kinds of tensor stay lists
  edit(
    /if \(!\(message\.(\w+) && message\.\1\.length\)\)\s+message\.\1 = \[\];\s+if \(\(tag & 7\) === 2\) \{[^}]*?reader\.(\w+)\(\)\);\s+\} else\s+message\.\1\.push\(reader\.\2\(\)\);/g,
    (_, field, read) =>
      field in typedFields
        ? `message.${field} = reader.repeatedTyped(tag, message.${field}, "${read}", ${typedFields[field]});`
        : `message.${field} = reader.repeated(tag, message.${field}, "${field === 'dims' ? 'exact64' : read}");`,
    9,
  );
  edit(
    /message\.(irVersion|version|dimValue|begin|end) = reader\.int64\(\)/g,
    (_, field) => `message.${field} = reader.exact64()`,
    5,
  );
  edit(/message\.rawData = reader\.bytes\(\)/g, 'reader.rawData(message)', 1);
  return source;
}

/** The npm packages whose code an esbuild bundle contains, sorted. */
function bundledPackages(metafile) {
  const names = Object.keys(metafile.inputs).flatMap(
    (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  );
  return [...new Set(names)].sort();
}
