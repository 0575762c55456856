import { Code, ConnectError } from "@connectrpc/connect";
import * as errors from "../errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.js";

const ERROR_OF_CODE = new Map<Code, errors.ErrorType>([
  [Code.InvalidArgument, errors.InvalidRequestError],
  [Code.NotFound, errors.NotFoundError],
  [Code.AlreadyExists, errors.AlreadyExistsError],
  [Code.FailedPrecondition, errors.VideoStateError],
  [Code.Aborted, errors.LiveFileChangedError],
  [Code.OutOfRange, errors.InvalidRequestError],
  [Code.Unimplemented, errors.NotImplementedYetError],
  [Code.Unauthenticated, errors.UnauthenticatedError],
  [Code.PermissionDenied, errors.PermissionDeniedError],
  [Code.ResourceExhausted, errors.ResourceExhaustedError],
  [Code.Unavailable, errors.UnavailableError],
  [Code.DeadlineExceeded, errors.UnavailableError],
  // A gateway that stops cancels its streams; a caller's own abort never gets here.
  [Code.Canceled, errors.UnavailableError],
]);

const NETWORK_CODES = /^(E[A-Z]+|ERR_HTTP2_\w+|ERR_STREAM_\w+)$/;

/** Turns what a call threw into the client's own error, with its google.rpc details. */
export function clientError(thrown: unknown): errors.TelecineClientError {
  if (thrown instanceof errors.TelecineClientError) {
    return thrown;
  }
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [badRequest] = error.findDetails(BadRequestSchema);
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return new (errorType(error, info?.reason))(error.rawMessage, {
    reason: info?.reason,
    field: badRequest?.fieldViolations[0]?.field ?? info?.metadata["field"],
    retrySeconds: delay && Number(delay.seconds) + delay.nanos / 1e9,
    logId: info?.metadata["log_id"],
    cause: thrown,
  });
}

function errorType(error: ConnectError, reason: string | undefined): errors.ErrorType {
  if (isBrokenConnection(error)) {
    return errors.UnavailableError;
  }
  if (reason === "EVENTS_TRIMMED") {
    return errors.EventsTrimmedError;
  }
  return ERROR_OF_CODE.get(error.code) ?? errors.TelecineClientError;
}

/** Node's own errors and a stream without an end come as any code; a status has details. */
function isBrokenConnection(error: ConnectError): boolean {
  if (error.details.length > 0 || error.metadata.has("grpc-status")) {
    return false;
  }
  return isNetworkError(error.cause) || /^(http\/2 |protocol error: )/.test(error.rawMessage);
}

/** A refused or reset connection, not a certificate that is not believed: that stays so. */
function isNetworkError(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && NETWORK_CODES.test(String(cause.code));
}
