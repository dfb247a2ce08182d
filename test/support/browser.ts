import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { gate } from './requirement.ts';

const executablePath = process.env.CONVOLITH_CHROMIUM ?? '/usr/bin/chromium';
const missing = existsSync(executablePath)
  ? undefined
  : `no Chromium at ${executablePath}; run npm run setup:browser, or set CONVOLITH_CHROMIUM`;

/** For tests that need a browser: skipped loudly without one, failing where CONVOLITH_REQUIRE_BROWSER is set. */
export const withBrowser = gate(missing, 'CONVOLITH_REQUIRE_BROWSER');

export function browserAvailable(): boolean {
  return missing === undefined;
}

/** Headless Chromium with an empty profile, which makes no connection of its own. The caller closes it. */
export function launchBrowser(options: { readonly args?: readonly string[] } = {}): Promise<Browser> {
  if (missing !== undefined) throw new Error(missing);
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...(options.args ?? []),
    ],
  });
}

/** A running file server; `url` has no slash at its end. */
export interface StaticServer {
  readonly url: string;
  /** The paths asked for, in order, so that a test can tell what a page loads. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

export interface ServeOptions {
  /** Send COOP and COEP, which a page needs for SharedArrayBuffer. */
  readonly crossOriginIsolated?: boolean;
  /** More headers for every answer, such as a content security policy. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Files that are not on disk, by their path ('/index.html'). They come before the folder's. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.wgsl': 'text/plain; charset=utf-8',
};

/** Serves the files of a folder on a free port of 127.0.0.1. */
export async function serve(folder: string, options: ServeOptions = {}): Promise<StaticServer> {
  const requests: string[] = [];
  const headers = {
    'cache-control': 'no-store',
    ...(options.crossOriginIsolated
      ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
      : {}),
    ...options.headers,
  };
  const server = createServer(async (request, response) => {
    const path = decodedPath(request.url ?? '/');
    requests.push(path);
    const body = options.files?.[path] ?? (await fileOf(folder, path));
    if (body === undefined) {
      response.writeHead(404, headers).end();
      return;
    }
    const type = contentTypes[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, { ...headers, 'content-type': type });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The path of a request with `..` resolved; a folder stands for its index.html. */
function decodedPath(url: string): string {
  try {
    const { pathname } = new URL(url, 'http://localhost');
    const path = decodeURIComponent(pathname);
    return path.endsWith('/') ? `${path}index.html` : path;
  } catch {
    return '/';
  }
}

async function fileOf(folder: string, path: string): Promise<Uint8Array | undefined> {
  const root = normalize(`${folder}${sep}`);
  const file = join(root, path);
  if (!file.startsWith(root)) return undefined;
  return readFile(file).catch(() => undefined);
}
