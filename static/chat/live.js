/** A page's socket, and whether the page shows what happens now: from the end of its resume until the connection is lost. */

import { ChatSocket, State } from "./socket.js";

/** The socket that the page's boot data ask for. */
export function socketOf(boot) {
  const address = new URL(boot.socket, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return new ChatSocket(address.href, {
    heartbeat: boot.heartbeatSeconds * 1000,
    tries: boot.reconnectTries,
    comeBackBelow: boot.protocol.comeBackBelow,
  });
}

export class Live {
  /** Whether it does. */
  is = false;
  #parts;

  /**
   * `opened()` is called when it has begun, `closed()` when it has ended, and `refused(code)` where the server has closed for good.
   */
  constructor({ socket, resume, notices, workerWait, opened, closed, refused }) {
    this.#parts = { resume, notices, workerWait, opened, closed, refused };
    socket.on("handled", (frame) => this.#handled(frame));
    socket.on("state", (now) => this.#changed(now));
  }

  #handled(frame) {
    const { resume, workerWait, opened } = this.#parts;
    if (frame.type === "resumed" && resume.isCurrent && !this.is) {
      this.is = true;
      opened();
      workerWait.look();
    }
    if (this.is && frame.seq !== undefined) workerWait.look();
  }

  #changed({ state, why, code }) {
    const { resume, notices, workerWait, closed, refused } = this.#parts;
    if (state === State.CONNECTED) {
      notices.clear();
      return;
    }
    this.is = false;
    resume.closed();
    closed();
    workerWait.closed();
    if (state === State.OFFLINE && why === "refused") refused(code);
  }
}
