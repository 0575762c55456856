import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

const MAX_MESSAGE_BYTES = 4 << 20;
// A silent network must not look like a quiet video.
const PINGS = { pingIntervalMs: 30_000, pingTimeoutMs: 10_000 };

/** An API key or an access token, or a function that is asked for one before every call. */
export type ApiKey = string | (() => string | Promise<string>);

/** TLS to the server; certificates and keys are PEM. */
export interface TlsOptions {
  /** Whose certificates are believed; the well-known roots by default. */
  ca?: string | Uint8Array;
  /** The client's own certificate, where the server asks for one, with its `key`. */
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
}

/** How to reach the server. */
export interface ClientOptions {
  /** The environment's TELECINE_API_KEY by default. */
  apiKey?: ApiKey | undefined;
  /** No TLS by default; `{}` is TLS with the well-known roots. */
  tls?: TlsOptions | undefined;
  /** How long an answer of one message may take, tries together; 30 by default. */
  timeoutSeconds?: number | undefined;
  /** How long streams try to go on while the server is away; 60 by default. */
  patienceSeconds?: number | undefined;
}

/** A connection that opens by itself when it is needed. */
export interface Connection {
  transport: Transport;
  close(): void;
}

/** Returns a connection to `address`, the gateway's `host:port`. */
export function connect(address: string, options: ClientOptions): Connection {
  const baseUrl = `${options.tls === undefined ? "http" : "https"}://${address}`;
  const manager = new Http2SessionManager(baseUrl, PINGS, nodeTls(options.tls));
  const apiKey = options.apiKey ?? process.env["TELECINE_API_KEY"] ?? "";
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: manager,
    interceptors: [authorize(apiKey)],
    readMaxBytes: MAX_MESSAGE_BYTES,
  });
  return { transport, close: () => manager.abort() };
}

function authorize(apiKey: ApiKey): Interceptor {
  return (next) => async (request) => {
    const key = typeof apiKey === "string" ? apiKey : await apiKey();
    if (key !== "") {
      request.header.set("authorization", `Bearer ${key}`);
    }
    return next(request);
  };
}

function nodeTls(tls: TlsOptions | undefined): Record<string, string | Buffer> | undefined {
  if (tls === undefined) {
    return undefined;
  }
  const given = Object.entries(tls).filter(([, pem]) => pem !== undefined);
  return Object.fromEntries(
    given.map(([name, pem]) => [name, typeof pem === "string" ? pem : Buffer.from(pem)]),
  );
}
