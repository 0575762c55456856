import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Client, DownloadError } from "../../src/browser/index.js";

const FILE = Buffer.alloc(100_000, "film");

async function serving<T>(
  answer: RequestListener<typeof IncomingMessage>,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    return await use(new Client(`http://127.0.0.1:${port}`));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function etag(file: Buffer): string {
  return `"${createHash("sha256").update(file).digest("hex")}"`;
}

test("a file that arrives damaged is told of", async () => {
  const damaged = Buffer.from(FILE).fill("!", 50, 51);
  const call = serving(
    (_, response) => response.setHeader("etag", etag(FILE)).end(damaged),
    (client) => client.downloadVideo("a"),
  );
  await assert.rejects(call, DownloadError);
});

test("a file that is another one after a break is told of", async () => {
  let numCalls = 0;
  const call = serving(
    (request, response) => {
      numCalls += 1;
      if (numCalls === 1) {
        const head = { etag: etag(FILE), "content-length": FILE.length };
        response.writeHead(200, head).write(FILE.subarray(0, 5000), () => response.destroy());
        return;
      }
      assert.deepEqual(
        [request.headers.range, request.headers["if-range"]],
        ["bytes=5000-", etag(FILE)],
      );
      response.end("another file");
    },
    (client) => client.downloadVideo("a"),
  );
  await assert.rejects(call, /changed while it was fetched/);
});

