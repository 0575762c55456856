import * as errors from "../errors.js";

const ERROR_OF_STATUS: Readonly<Record<number, errors.ErrorType>> = {
  400: errors.InvalidRequestError,
  401: errors.UnauthenticatedError,
  403: errors.PermissionDeniedError,
  404: errors.NotFoundError,
  408: errors.UnavailableError,
  409: errors.VideoStateError,
  410: errors.EventsTrimmedError,
  413: errors.ResourceExhaustedError,
  415: errors.InvalidRequestError,
  416: errors.InvalidRequestError,
  422: errors.AlreadyExistsError,
  429: errors.ResourceExhaustedError,
  451: errors.VideoStateError,
  501: errors.NotImplementedYetError,
  502: errors.UnavailableError,
  503: errors.UnavailableError,
  504: errors.UnavailableError,
};

interface ErrorBody {
  error?: { message?: string; param?: string | null; code?: string | null };
}

/** Turns an answer that is an error into the client's own, with what its envelope says. */
export async function answerError(response: Response): Promise<errors.TelecineClientError> {
  const text = await response.text().catch(() => "");
  const type = ERROR_OF_STATUS[response.status] ?? errors.TelecineClientError;
  return fromEnvelope(text, type, `HTTP ${response.status}`, retrySeconds(response.headers));
}

/** Turns the last entry of a stream that the server had to end into an error. */
export function streamError(text: string): errors.TelecineClientError {
  const error = fromEnvelope(text, errors.UnavailableError, "the stream ended", undefined);
  if (error.reason === "EVENTS_TRIMMED") {
    return new errors.EventsTrimmedError(error.message, error);
  }
  return error;
}

/** Turns what fetch threw into the client's own error. */
export function fetchError(thrown: unknown): unknown {
  // Every failure of the network is a TypeError; its text differs from browser to browser.
  return thrown instanceof TypeError
    ? new errors.UnavailableError(thrown.message, { cause: thrown })
    : thrown;
}

function fromEnvelope(
  text: string,
  type: errors.ErrorType,
  fallback: string,
  retry: number | undefined,
): errors.TelecineClientError {
  const { message, param, code } = parse(text).error ?? {};
  return new type(message ?? fallback, {
    reason: code?.toUpperCase(),
    field: param ?? undefined,
    retrySeconds: retry,
  });
}

function parse(text: string): ErrorBody {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? body : {};
  } catch {
    return {}; // a proxy's page
  }
}

function retrySeconds(headers: Headers): number | undefined {
  const milliseconds = headers.get("retry-after-ms");
  const seconds = milliseconds === null ? headers.get("retry-after") : Number(milliseconds) / 1000;
  return seconds === null || Number.isNaN(Number(seconds)) ? undefined : Number(seconds);
}
