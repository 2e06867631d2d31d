/** Where a message is written: the text, the agent, the Reasoning switch, Send and Stop. */

const REMEMBERED = "glassbox.reasoning";

export class Composer {
  #form = document.getElementById("composer");
  #text = document.getElementById("message");
  #agent = document.getElementById("agent");
  #reasoning = document.getElementById("reasoning");
  #problem = document.getElementById("composer-problem");
  #stop = document.getElementById("stop");
  #send;
  #unsent;
  #agentChanged;
  #agentChosen = false;

  /**
   * `send(message)` gets {message, agent_name, enable_reasoning} and returns "" or why it is not taken;
   * `agentChanged(name)` is called with each agent shown, the first one included. `storage` keeps how the switch stands;
   * `unsent` is {storage, key} for a text half typed, which is to outlive a reload. Storages may be null.
   */
  constructor({ send, stop, storage, unsent, agentChanged = () => {} }) {
    this.#send = send;
    this.#unsent = unsent;
    this.#agentChanged = agentChanged;
    this.#reasoning.checked = storage?.getItem(REMEMBERED) !== "off";
    this.#reasoning.addEventListener("change", () => storage?.setItem(REMEMBERED, this.#reasoning.checked ? "on" : "off"));
    this.#agent.addEventListener("change", () => this.chooseAgent(this.#agent.value));
    this.#text.addEventListener("input", () => {
      this.#show("");
      this.#keep();
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
      this.#submit();
    });
    this.#stop.addEventListener("click", stop);
    if (this.#text.value === "") this.#text.value = unsent.storage?.getItem(unsent.key) ?? "";
    this.#fit();
    this.#agentChanged(this.#agent.value);
  }

  /** The user wants this agent; nothing else changes it from now on. */
  chooseAgent(name) {
    this.#agentChosen = true;
    this.#agent.value = name;
    this.#agentChanged(name);
  }

  /** The session's agent, unless the user has chosen another one. */
  proposeAgent(name) {
    if (this.#agentChosen || ![...this.#agent.options].some(({ value }) => value === name)) return;
    this.#agent.value = name;
    this.#agentChanged(name);
  }

  /** Send this text as if it had been typed; what stands half typed stays. */
  ask(text) {
    const typed = this.#text.value;
    this.#text.value = text;
    if (!this.#submit()) return;
    this.#text.value = typed;
    this.#keep();
    this.#fit();
  }

  /** `active`: a run can be stopped; `stopping`: it was asked to stop and has not ended yet. */
  showStop({ active, stopping }) {
    const hadFocus = document.activeElement === this.#stop;
    this.#stop.hidden = !active;
    this.#stop.disabled = stopping;
    const word = stopping ? "Stopping…" : "Stop";
    if (this.#stop.textContent !== word) this.#stop.textContent = word; // this is called for every frame
    // A button that is hidden or disabled takes the focus with it.
    if (hadFocus && (!active || stopping)) this.#text.focus();
  }

  /** Whether it was taken. */
  #submit() {
    const problem = this.#send({
      message: this.#text.value,
      agent_name: this.#agent.value,
      enable_reasoning: this.#reasoning.checked,
    });
    this.#show(problem);
    if (problem === "") this.#text.value = "";
    this.#keep();
    this.#fit();
    this.#text.focus();
    return problem === "";
  }

  #show(problem) {
    this.#problem.textContent = problem;
    this.#problem.hidden = problem === "";
    this.#text.toggleAttribute("aria-invalid", problem !== "");
  }

  #keep() {
    const { storage, key } = this.#unsent;
    try {
      if (this.#text.value === "") storage?.removeItem(key);
      else storage?.setItem(key, this.#text.value);
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error; // the text is lost with a reload then
    }
  }

  #fit() {
    this.#text.rows = Math.min(12, Math.max(2, this.#text.value.split("\n").length));
  }
}
