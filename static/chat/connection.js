/** How the connection stands, always true, and the buttons that change it. */

import { State } from "./socket.js";

const WHY = {
  refused: "the server refused",
  tries: "gave up",
  "no reply": "no reply",
  "not opened": "no answer",
};

export class ConnectionBar {
  #bar = document.getElementById("connection");
  #text = document.getElementById("connection-state");
  #retryNow = document.getElementById("retry-now");
  #connect = document.getElementById("connect");
  #countdown = null;

  constructor(socket) {
    this.#retryNow.addEventListener("click", () => socket.retryNow());
    this.#connect.addEventListener("click", () => {
      if (socket.status.state === State.OFFLINE) socket.connect();
      else socket.disconnect();
    });
    socket.on("state", (status) => this.#show(status));
    this.#show(socket.status);
  }

  #show(status) {
    clearInterval(this.#countdown);
    this.#bar.dataset.state = status.state;
    this.#bar.dataset.why = status.why;
    this.#bar.title = status.code ? `Close code ${status.code} ${status.reason}`.trim() : "";
    this.#retryNow.hidden = status.state !== State.RETRYING;
    this.#connect.textContent = status.state === State.OFFLINE ? "Connect" : "Disconnect";
    this.#say(status);
    if (status.state === State.RETRYING) this.#countdown = setInterval(() => this.#say(status), 250);
  }

  #say(status) {
    const text = words(status);
    if (this.#text.textContent !== text) this.#text.textContent = text;
  }
}

function words({ state, why, retryAt }) {
  switch (state) {
    case State.CONNECTED:
      return "Connected";
    case State.CONNECTING:
      return "Connecting…";
    case State.RETRYING: {
      const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
      if (why === "restart") return `The server is restarting, back in ${left} s`;
      return `${WHY[why] ? `${WHY[why]}, ` : ""}retrying in ${left} s`.replace(/^./, (first) => first.toUpperCase());
    }
    default:
      return WHY[why] ? `Offline: ${WHY[why]}` : "Offline";
  }
}
