import { repeated } from "../resumption.js";
import type { CallOptions } from "../video_options.js";
import { answerError, fetchError } from "./errors.js";

/** An API key or an access token, or a function that is asked for one before every call. */
export type ApiKey = string | (() => string | Promise<string>);

/** How to reach the server. */
export interface ClientOptions {
  /** None by default. */
  apiKey?: ApiKey | undefined;
  /** How long an answer may take, tries together; 30 by default. */
  timeoutSeconds?: number | undefined;
  /** How long streams try to go on while the server is away; 60 by default. */
  patienceSeconds?: number | undefined;
}

/** What a call sends beside its path. */
export interface Sent {
  method?: "GET" | "POST" | "DELETE";
  headers?: Record<string, string>;
  body?: string | FormData;
}

/** Calls the REST edge at one address. */
export class Connection {
  readonly patienceSeconds: number;
  readonly #url: string;
  readonly #apiKey: ApiKey;
  readonly #timeoutSeconds: number;

  constructor(url: string, options: ClientOptions) {
    this.#url = url.replace(/\/+$/, "");
    this.#apiKey = options.apiKey ?? "";
    this.#timeoutSeconds = options.timeoutSeconds ?? 30;
    this.patienceSeconds = options.patienceSeconds ?? 60;
  }

  /** Returns an answer as soon as its head is there; throws where it is an error. */
  async open(path: string, signal: AbortSignal, sent: Sent = {}): Promise<Response> {
    const key = typeof this.#apiKey === "string" ? this.#apiKey : await this.#apiKey();
    const headers = { ...sent.headers, ...(key !== "" && { authorization: `Bearer ${key}` }) };
    try {
      const response = await fetch(this.#url + path, { ...sent, headers, signal });
      if (response.ok) {
        return response;
      }
      throw await answerError(response);
    } catch (error) {
      throw fetchError(error);
    }
  }

  /** Returns an answer of JSON to a call that is not repeated, however long it takes. */
  async once<T>(path: string, { signal }: CallOptions, sent: Sent): Promise<T> {
    const response = await this.open(path, signal ?? new AbortController().signal, sent);
    return (await response.json()) as T;
  }

  /** Returns an answer of JSON; repeats the call, which must allow it, while the server is away. */
  json<T>(path: string, { signal }: CallOptions, sent: Sent = {}): Promise<T> {
    const call = async (own: AbortSignal): Promise<T> => {
      const response = await this.open(path, own, sent);
      try {
        return (await response.json()) as T;
      } catch (error) {
        throw fetchError(error);
      }
    };
    return repeated(call, { seconds: this.#timeoutSeconds, signal });
  }
}
