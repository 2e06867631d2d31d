/** A run that ended because nobody knows whether a tool has done its work: what the user can say to that. Pure. */

const CODE = "outcome_unknown";
/** Names as tools have them; a model may have made up any other, and nobody is made to say what it wrote. */
const NAME = /^[\w.-]{1,64}$/;

/** Whether this is the code of such a result, of the error step after it and of the run's end. */
export function isUnknownCode(code) {
  return code === CODE;
}

export function isUnknown(run) {
  return run.state === "failed" && run.end?.code === CODE;
}

/** Whether this step is the result of a tool whose outcome is unknown: `data` is that of its frame. */
export function isUnknownResult(data) {
  return data.type === "tool_result" && data.code === CODE;
}

/** The message that lets the conversation go on after such a run, as if the tools had done their work. */
export function goOn(run) {
  const results = run.steps.map(({ data }) => data).filter(isUnknownResult);
  const names = [...new Set(results.map(({ tool_name }) => tool_name))];
  const areNamed = names.length > 0 && names.every((name) => NAME.test(name ?? ""));
  if (!areNamed) return "The tool call whose outcome is unknown may be taken as done. Go on.";
  return `The ${results.length > 1 ? "calls" : "call"} of ${joined(names)} may be taken as done. Go on.`;
}

function joined(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}
