import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as files from '#compiler/files/index.ts';
import * as api from '#compiler/index.ts';
import { repositoryFolder } from '../support/collection.ts';

// a name more is a promise more: it belongs here, in README.md and in CHANGELOG.md
test('the public names are these', () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "AUDIT_VERSION",
      "Builder",
      "CATALOGUE",
      "COMPILE_STAGES",
      "COMPILE_TARGETS",
      "CompileError",
      "DEVICES",
      "DIFF_VERSION",
      "Graph",
      "InternalError",
      "PIPELINES",
      "REWRITE_VERSION",
      "VERSION",
      "audit",
      "auditSchema",
      "calibrate",
      "checkBudget",
      "cloneGraph",
      "compileGraph",
      "compileModel",
      "diffAudits",
      "diffSchema",
      "evaluateGraph",
      "exportJson",
      "exportOnnx",
      "f32",
      "footprintOf",
      "formatDiagnostic",
      "formatOf",
      "formatSafetensors",
      "formatShape",
      "formatType",
      "graphCost",
      "i64",
      "importJson",
      "importModel",
      "importOnnx",
      "isError",
      "networkJsonSchema",
      "networkSchema",
      "parseBudget",
      "parseGraph",
      "parseSafetensors",
      "passNames",
      "printGraph",
      "renderCsv",
      "renderDiff",
      "renderDot",
      "renderGithub",
      "renderHtml",
      "renderJson",
      "renderMarkdown",
      "renderRewrite",
      "renderRewriteHtml",
      "renderRewriteMarkdown",
      "renderSarif",
      "renderTable",
      "rewriteGraph",
      "rewriteSchema",
      "rooflineOf",
      "runPipeline",
      "tensor",
      "tuneModel",
      "tuningFor",
      "tuningForAdapter",
      "verifyBundle",
      "verifyGraph",
    ]
  `);
});

test('the public names of the file adapters are these', () => {
  expect(Object.keys(files).sort()).toMatchInlineSnapshot(`
    [
      "folderReader",
      "formatNpy",
      "isBundle",
      "loadBundle",
      "makeBundleFolder",
      "makeFolderAtomic",
      "openModel",
      "parseNpy",
      "readBundle",
      "readManifest",
      "readModel",
      "requireSoundBundle",
      "writeBundle",
      "writeFileAtomic",
      "writeFolderAtomic",
    ]
  `);
});

test('the version is that of package.json', () => {
  const { version } = JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8'));
  expect(api.VERSION).toBe(version);
});

test('files that explanations, hints and the published schema name are in the package', () => {
  const texts = JSON.stringify([
    api.CATALOGUE,
    (api.networkJsonSchema() as { description: string }).description,
  ]);
  const named = [...new Set(texts.match(/\b[\w-]+\/[\w./-]+\.(?:md|json)\b/g))].sort();
  expect(named).toEqual(['docs/json.md', 'schema/network.schema.json']);
  const manifest = JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8'));
  const packed = (path: string) =>
    manifest.files.some((entry: string) => path === entry || path.startsWith(`${entry}/`));
  for (const path of named) {
    expect(packed(path), path).toBe(true);
    expect(existsSync(join(repositoryFolder, path)), path).toBe(true);
  }
});
