/** Where a message is written: the text, the agent, the Reasoning switch, Send and Stop. */

const REMEMBERED = "glassbox.reasoning";

export class Composer {
  #form = document.getElementById("composer");
  #text = document.getElementById("message");
  #agent = document.getElementById("agent");
  #reasoning = document.getElementById("reasoning");
  #problem = document.getElementById("composer-problem");
  #stop = document.getElementById("stop");
  #agentChosen = false;

  /** `send(message)` gets {message, agent_name, enable_reasoning} and returns "" or why it is not taken. */
  constructor({ send, stop, storage }) {
    this.#reasoning.checked = storage?.getItem(REMEMBERED) !== "off";
    this.#reasoning.addEventListener("change", () => storage?.setItem(REMEMBERED, this.#reasoning.checked ? "on" : "off"));
    this.#agent.addEventListener("change", () => (this.#agentChosen = true));
    this.#text.addEventListener("input", () => {
      this.#show("");
      this.#fit();
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method is composing, Enter chooses a word.
      if (event.key !== "Enter" || event.shiftKey || event.altKey || event.isComposing) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const problem = send({
        message: this.#text.value,
        agent_name: this.#agent.value,
        enable_reasoning: this.#reasoning.checked,
      });
      this.#show(problem);
      if (problem === "") this.#text.value = "";
      this.#fit();
      this.#text.focus();
    });
    this.#stop.addEventListener("click", stop);
  }

  /** The session's agent, unless the user has chosen another one. */
  proposeAgent(name) {
    if (!this.#agentChosen && [...this.#agent.options].some(({ value }) => value === name)) this.#agent.value = name;
  }

  /** `active`: a run can be stopped; `stopping`: it was asked to stop and has not ended yet. */
  showStop({ active, stopping }) {
    this.#stop.hidden = !active;
    this.#stop.disabled = stopping;
    const word = stopping ? "Stopping…" : "Stop";
    if (this.#stop.textContent !== word) this.#stop.textContent = word; // this is called for every frame
  }

  #show(problem) {
    this.#problem.textContent = problem;
    this.#problem.hidden = problem === "";
    this.#text.toggleAttribute("aria-invalid", problem !== "");
  }

  #fit() {
    this.#text.rows = Math.min(12, Math.max(2, this.#text.value.split("\n").length));
  }
}
