/** What an empty session shows: the agents to choose from, and questions that the chosen one has the tools for. */

export class Welcome {
  #agents = [...document.querySelectorAll("#welcome [data-agent]")];
  #examples = [...document.querySelectorAll("#welcome [data-example]")];

  /** `choose(name)` is called with an agent, `ask(text)` with a question. */
  constructor({ choose, ask }) {
    for (const button of this.#agents) button.addEventListener("click", () => choose(button.dataset.agent));
    for (const button of this.#examples) button.addEventListener("click", () => ask(button.textContent.trim()));
  }

  /** This agent is chosen now, here or in the composer. */
  showAgent(name) {
    for (const button of this.#agents) button.setAttribute("aria-pressed", String(button.dataset.agent === name));
    for (const button of this.#examples) button.hidden = !button.dataset.agents.split(" ").includes(name);
  }
}
