/** What is known of an error beside its message. */
export interface ErrorDetails {
  reason?: string | undefined;
  field?: string | undefined;
  retrySeconds?: number | undefined;
  logId?: string | undefined;
  cause?: unknown;
}

/** Any error of a call; its kinds say what to do about it. */
export class TelecineClientError extends Error {
  /** A stable UPPER_SNAKE name of what went wrong; empty where none was sent. */
  readonly reason: string;
  /** The request field that is wrong; empty where none is. */
  readonly field: string;
  /** When to try again; undefined where trying again is no use. */
  readonly retrySeconds: number | undefined;
  /** Names the entry in the server's log; empty where none was sent. */
  readonly logId: string;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.name = new.target.name;
    this.reason = details.reason ?? "";
    this.field = details.field ?? "";
    this.retrySeconds = details.retrySeconds;
    this.logId = details.logId ?? "";
  }
}

/** A field is wrong; `field` is its path. */
export class InvalidRequestError extends TelecineClientError {}

/** No such video, model or media. */
export class NotFoundError extends TelecineClientError {}

/** The request id was used before, for another request. */
export class AlreadyExistsError extends TelecineClientError {}

/** Not possible in the video's present state. */
export class VideoStateError extends TelecineClientError {}

/** A followed file is made anew, with other bytes than those that came: begin again. */
export class LiveFileChangedError extends TelecineClientError {}

/** The event log no longer reaches back to the event asked for. */
export class EventsTrimmedError extends TelecineClientError {}

/** A feature that the server does not have. */
export class NotImplementedYetError extends TelecineClientError {}

/** No key or token, or none that counts. */
export class UnauthenticatedError extends TelecineClientError {}

/** The key or token may not do this. */
export class PermissionDeniedError extends TelecineClientError {}

/** No more is taken now, or a message is too large. */
export class ResourceExhaustedError extends TelecineClientError {}

/** The server, or a part of it, cannot be reached. */
export class UnavailableError extends TelecineClientError {}

/** A downloaded file is not what the server promised. */
export class DownloadError extends TelecineClientError {}

/** A kind of error. */
export type ErrorType = new (message: string, details?: ErrorDetails) => TelecineClientError;
