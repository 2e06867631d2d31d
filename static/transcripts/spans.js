/** When each step of a run was under way: pure. A step is recorded when it is whole, and so begins its duration earlier. */

export const TYPES = {
  thought: "Thought",
  tool_use: "Tool use",
  tool_result: "Tool result",
  final_answer: "Final answer",
  error: "Error",
};

const MOST_LANES = 5;

/**
 * {bars, lanes, length}: bars are {step, start, end, lane} in the order of the log, in seconds since the run began. What was under
 * way at the same time stands in lanes one below the other.
 */
export function spans(run, steps) {
  const own = run.steps.map((seq) => steps.get(seq)).filter(Boolean);
  const begins = own.map(({ at, duration }) => at - (duration ?? 0));
  const zero = Math.min(run.started ?? Infinity, ...begins);
  const ends = [];
  const bars = own.map((step, at) => {
    const start = begins[at] - zero;
    const end = step.at - zero;
    let lane = ends.findIndex((until) => until <= start + 0.001);
    if (lane === -1) lane = ends.length < MOST_LANES ? ends.length : MOST_LANES - 1;
    ends[lane] = Math.max(ends[lane] ?? 0, end);
    return { step, start, end, lane };
  });
  const last = Math.max(0, ...bars.map(({ end }) => end));
  return { bars, lanes: Math.max(1, ends.length), length: run.ended === null ? last : Math.max(last, run.ended - zero) };
}
