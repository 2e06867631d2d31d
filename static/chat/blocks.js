/**
 * A growing Markdown text cut into blocks that will not change any more, and the open rest.
 *
 * A block ends at a blank line that is followed by a line at the margin, outside of fenced code. Each character is looked
 * at once, whatever the number of pieces in which the text comes.
 */

export class Blocks {
  #scanned = 0; // all complete lines before this have been looked at
  #open = 0; // where the open rest begins
  #fence = null;
  #blank = false; // whether the last complete line was blank

  /** Where the open rest of the text begins; before it all is final. */
  get open() {
    return this.#open;
  }

  /** `text` has grown. Returns the blocks that have become final, in order. */
  advance(text) {
    const done = [];
    for (let end = text.indexOf("\n", this.#scanned); end !== -1; end = text.indexOf("\n", this.#scanned)) {
      const line = text.slice(this.#scanned, end);
      if (this.#blank && this.#fence === null && /^\S/.test(line) && this.#scanned > this.#open) {
        done.push(text.slice(this.#open, this.#scanned));
        this.#open = this.#scanned;
      }
      this.#read(line);
      this.#scanned = end + 1;
    }
    return done;
  }

  #read(line) {
    this.#blank = line.trim() === "";
    const mark = /^\s*(`{3,}|~{3,})(.*)$/.exec(line);
    if (!mark) return;
    const [, fence, rest] = mark;
    if (this.#fence === null) {
      if (fence[0] === "~" || !rest.includes("`")) this.#fence = fence;
    } else if (fence[0] === this.#fence[0] && fence.length >= this.#fence.length && rest.trim() === "") {
      this.#fence = null;
    }
  }
}
