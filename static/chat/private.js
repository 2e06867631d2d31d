/** The switch that marks the session private, what that means, and whether it is saved. */

const MEANS = {
  true: "Viewers of the administration do not see this session; auditors do.",
  false: "Those who look after this site may read this session.",
};
const STATUS = {
  "": "",
  saving: "Saving…",
  retrying: "Not saved yet, trying again.",
  offline: "Not connected: saved once the connection is back.",
};

export class PrivateSwitch {
  #marks;
  #input = document.getElementById("private");
  #means = document.getElementById("private-means");
  #state = document.getElementById("private-state");

  constructor(marks) {
    this.#marks = marks;
    this.#input.addEventListener("change", () => marks.setPrivate(this.#input.checked));
    this.show();
  }

  /** Show it as it is now; until the server has told, as it was when the page was made. */
  show() {
    const { isPrivate, status, error } = this.#marks.session;
    if (isPrivate !== null) this.#input.checked = isPrivate;
    write(this.#means, MEANS[this.#input.checked]);
    write(this.#state, [error, STATUS[status]].filter(Boolean).join(" "));
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
