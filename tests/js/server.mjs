/** A server in miniature: the log of a session, the drafts alive, and the answers to `resume`. Frames as in frames.json. */
import { readFileSync } from "node:fs";

export const shared = JSON.parse(readFileSync(new URL("../frames.json", import.meta.url)));

export class Server {
  constructor(epoch = "one") {
    this.epoch = epoch;
    this.log = [];
    this.drafts = new Map(); // "run step" -> the delta that says it all
  }

  get head() {
    return this.log.length;
  }

  /** What a frame of a script does to the server's own knowledge. */
  take(frame) {
    if (frame.seq) this.log.push(frame);
    const alive = (keep) => {
      for (const [key, draft] of this.drafts) if (draft.run_id === frame.run_id && !keep(draft.data)) this.drafts.delete(key);
    };
    if (["reasoning_step", "quiet_step", "response"].includes(frame.type)) alive(({ step }) => step > frame.data.step);
    if (["reasoning_start", "reasoning_complete"].includes(frame.type)) alive(() => false);
    if (frame.type === "reasoning_start") this.attempt = frame.data.attempt;
    if (frame.type === "reasoning_delta") this.#draft(frame, alive);
  }

  #draft(frame, alive) {
    if (frame.data.attempt !== this.attempt) return;
    alive(({ call }) => call >= frame.data.call);
    const key = `${frame.run_id} ${frame.data.step}`;
    const known = this.drafts.get(key);
    this.drafts.set(key, {
      ...frame,
      data: {
        ...frame.data,
        offset: 0,
        content: (known?.data.content ?? "") + frame.data.content,
        ...(known?.data.discarded ? { discarded: true } : {}),
      },
    });
  }

  connected() {
    return { type: "connected", data: { session_id: "s", agent_name: "researcher", head: this.head, epoch: this.epoch } };
  }

  pong() {
    return { type: "pong", data: { timestamp: 0, head: this.head } };
  }

  /** All frames that answer a `resume`; `page` recorded frames at a time. */
  resume({ after, epoch }, page = Infinity) {
    const frames = [];
    let from = after;
    if ((epoch !== undefined && epoch !== this.epoch) || after > this.head) {
      frames.push({ type: "reset", data: { epoch: this.epoch, head: this.head } });
      from = 0;
    }
    const recorded = this.log.slice(from, from + page);
    const through = from + recorded.length;
    const more = through < this.head;
    frames.push(...recorded, { type: "resumed", data: { through, head: this.head, more, epoch: this.epoch } });
    if (!more) frames.push(...[...this.drafts.values()].sort((one, other) => one.data.step - other.data.step));
    return frames;
  }
}
