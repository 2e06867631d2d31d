/** What is told to those who listen instead of looking, politely: after what is being read out. */

const KEPT = 5;

export function announce(text) {
  const announcer = document.getElementById("announcer");
  const line = document.createElement("p");
  line.textContent = text;
  announcer.append(line);
  while (announcer.childElementCount > KEPT) announcer.firstElementChild.remove();
}
