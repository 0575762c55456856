/** Where the servers of a test run are; tests/sdk/ of the repository starts them. */
export const server = {
  apiKey: setting("API_KEY"),
  grpc: {
    address: setting("GRPC"),
    /** Proxies whose first connections break: at once, during a watch, during a download. */
    refusing: setting("GRPC_REFUSING"),
    breakingWatches: setting("GRPC_BREAKING_WATCHES"),
    breakingDownloads: setting("GRPC_BREAKING_DOWNLOADS"),
    tls: setting("GRPC_TLS"),
  },
  http: {
    url: setting("HTTP"),
    refusing: setting("HTTP_REFUSING"),
    breakingWatches: setting("HTTP_BREAKING_WATCHES"),
    breakingDownloads: setting("HTTP_BREAKING_DOWNLOADS"),
  },
  certificates: { ca: setting("TLS_CA"), cert: setting("TLS_CERT"), key: setting("TLS_KEY") },
};

/** A model that no worker of the test run makes: its videos stay queued. */
export const SHELF = { model: "shelf" };

/** The label that says how large a file the worker makes. */
export function sized(sizeBytes: number): { labels: Record<string, string> } {
  return { labels: { size_bytes: String(sizeBytes) } };
}

/** The steps that the worker takes with every video. */
export const STEPS = Array.from({ length: 20 }, (_, index) => index + 1);

function setting(name: string): string {
  const value = process.env[`TELECINE_TEST_${name}`];
  if (value === undefined) {
    throw new Error(`TELECINE_TEST_${name} is not set: run it by pytest tests/sdk`);
  }
  return value;
}
