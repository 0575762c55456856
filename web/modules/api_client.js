/**
 * @typedef {import("./types.js").Model} Model
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./types.js").VideoList} VideoList
 * @typedef {import("./types.js").CostEstimate} CostEstimate
 * @typedef {import("./types.js").Media} Media
 */

const AWAY_STATUSES = [502, 503, 504];

/** The server answered, and the answer is an error; `param` is the request's field it is about. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{message: string, code: string | null, param: string | null}} details
   */
  constructor(status, { message, code, param }) {
    super(message);
    this.status = status;
    this.code = code ?? "";
    this.param = param ?? "";
  }
}

/** There was no answer, or one of a proxy before a server that is away. */
export class AwayError extends Error {}

/** Calls the HTTP API, with the key in a header. */
export class ApiClient {
  /**
   * @param {object} options
   * @param {string} options.key empty for a server that asks for none
   * @param {import("./connection.js").Connection} options.connection is told what each call finds
   * @param {(error: ApiError) => void} [options.onRefused] the key no longer counts
   */
  constructor({ key, connection, onRefused = () => undefined }) {
    this.key = key;
    this.connection = connection;
    this.onRefused = onRefused;
  }

  /** @returns {Promise<Model[]>} */
  async listModels() {
    return (await this.json("v1/models")).data;
  }

  /**
   * @param {{limit: number, after?: string}} page
   * @returns {Promise<VideoList>}
   */
  listVideos({ limit, after }) {
    const query = new URLSearchParams({ limit: String(limit), ...(after ? { after } : {}) });
    return this.json(`v1/videos?${query}`);
  }

  /** @param {string} id @returns {Promise<Video>} */
  getVideo(id) {
    return this.json(`v1/videos/${id}`);
  }

  /**
   * @param {string} path of what makes videos: new ones, or of others
   * @param {FormData} body
   * @param {string} idempotencyKey the same one when the same request is sent again
   * @returns {Promise<Video[]>}
   */
  async createVideos(path, body, idempotencyKey) {
    const headers = { "idempotency-key": idempotencyKey };
    return (await this.json(path, { method: "POST", body, headers })).data;
  }

  /**
   * @param {FormData} body
   * @param {AbortSignal} signal
   * @returns {Promise<CostEstimate>}
   */
  estimate(body, signal) {
    return this.json("v1/videos/estimate", { method: "POST", body, signal });
  }

  /** @param {File} file @returns {Promise<Media>} */
  uploadMedia(file) {
    const body = new FormData();
    body.append("file", file);
    return this.json("v1/media", { method: "POST", body });
  }

  /** @param {string} id @param {"cancel" | "pause" | "resume"} verb @returns {Promise<Video>} */
  actOn(id, verb) {
    return this.json(`v1/videos/${id}/${verb}`, { method: "POST" });
  }

  /** @param {string} id */
  deleteVideo(id) {
    return this.json(`v1/videos/${id}`, { method: "DELETE" });
  }

  /** @param {string} id @param {"video" | "thumbnail"} variant @returns {Promise<Blob>} */
  async readFile(id, variant) {
    return (await this.call(`v1/videos/${id}/content?variant=${variant}`)).blob();
  }

  /** @param {string} path @param {RequestInit} [init] @returns {Promise<any>} */
  async json(path, init) {
    return (await this.call(path, init)).json();
  }

  /**
   * @param {string} path below the page's own address
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async call(path, init = {}) {
    const headers = new Headers(init.headers);
    if (this.key) {
      headers.set("authorization", `Bearer ${this.key}`);
    }
    const response = await this.fetch(path, { ...init, headers });
    if (response.ok) {
      return response;
    }
    const error = await errorOf(response);
    if (response.status === 401) {
      this.onRefused(error);
    }
    throw error;
  }

  /** @param {string} path @param {RequestInit} init @returns {Promise<Response>} */
  async fetch(path, init) {
    let response;
    try {
      response = await fetch(new URL(path, document.baseURI), init);
    } catch (error) {
      if (init.signal?.aborted) {
        throw error;
      }
      this.connection.noteAway();
      throw new AwayError("The server cannot be reached.");
    }
    if (AWAY_STATUSES.includes(response.status)) {
      this.connection.noteAway();
      throw new AwayError("The server is not ready.");
    }
    this.connection.noteReached();
    return response;
  }
}

/** @param {Response} response @returns {Promise<ApiError>} */
async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const unknown = { message: `The server answered ${response.status}.`, code: null, param: null };
  return new ApiError(response.status, body?.error ?? unknown);
}
