/**
 * What a page knows of a session: a reducer without clock, socket or page.
 *
 * `apply(state, frame)` takes any frame and returns the state after it. It changes `state` in place, so that the work per
 * delta grows neither with the answer nor with the session; whoever wants the old state makes a copy first. The order of
 * recorded frames is their `seq`, never their arrival: what is there already is dropped, what is too early sets `gap`.
 */

const RECORDED = new Map([
  ["message", message],
  ["reasoning_start", start],
  ["reasoning_step", step],
  ["quiet_step", step],
  ["response", step],
  ["reasoning_complete", complete],
  ["message_removed", removed],
]);

const PASSING = new Map([
  ["connected", connected],
  ["pong", pong],
  ["resumed", resumed],
  ["reset", reset],
  ["reasoning_delta", delta],
  ["marks", marks],
]);

/**
 * A page that knows nothing yet. `seq` is the last event applied, `head` the last one that the server spoke of. `marks` are the
 * user's own, in no log: `isPrivate`, null where it is not known, and `feedback`, run_id -> {thumb, comment}.
 */
export function initial() {
  return { seq: 0, head: 0, epoch: null, gap: false, runs: [], byId: new Map(), marks: { isPrivate: null, feedback: new Map() } };
}

export function apply(state, frame) {
  const record = RECORDED.get(frame.type);
  if (record) return applyRecorded(state, frame, record);
  return PASSING.get(frame.type)?.(state, frame) ?? state;
}

/** Whether something recorded is missing here: send `resume` with `after: state.seq`. */
export function isBehind(state) {
  return state.gap || state.head > state.seq;
}

/** Whether a draft misses a piece: a `resume` makes the server send the drafts from their beginning. */
export function hasDraftHole(state) {
  const run = activeRun(state);
  return run !== null && run.draftHole;
}

/** The run that is being worked on, or null. Looks from the end: only queued and removed runs can follow it. */
export function activeRun(state) {
  for (let at = state.runs.length - 1; at >= 0; at -= 1) {
    const run = state.runs[at];
    if (isActive(run)) return run;
    if (run.state !== "queued" && run.state !== "removed") return null;
  }
  return null;
}

/** The run that could begin now: the first in the queue where none is active, or null. Looks from the end, as `activeRun`. */
export function nextRun(state) {
  let next = null;
  for (let at = state.runs.length - 1; at >= 0; at -= 1) {
    const run = state.runs[at];
    if (run.state === "queued") next = run;
    else if (run.state !== "removed") return isActive(run) ? null : next;
  }
  return next;
}

/** Whether a run has ended with an answer, of which its user may think something. */
export function hasAnswer({ end, steps }) {
  return end !== null && steps.some(({ kind, data }) => kind === "response" || data.type === "final_answer");
}

export function isActive(run) {
  return run.state === "running" || run.state === "waiting";
}

/** What is recorded of a session, as plain JSON: equal in every tab that has caught up, and equal to the database. */
export function transcript(state) {
  return {
    seq: state.seq,
    runs: state.runs.map((run) => ({
      run_id: run.run_id,
      client_id: run.client_id,
      message: run.message,
      agent: run.agent,
      model: run.model,
      enable_reasoning: run.enable_reasoning,
      timestamp: run.timestamp,
      ...(run.by ? { by: run.by } : {}),
      state: run.state,
      attempt: run.attempt,
      continued: run.continued.map(({ seq, attempt, reason }) => ({ seq, attempt, reason })),
      steps: run.steps.map(({ seq, kind, data }) => ({ seq, kind, ...data })),
      response: run.response,
      end: run.end,
    })),
  };
}

// --- recorded frames -----------------------------------------------------------------------------------------------------

function applyRecorded(state, frame, record) {
  if (!Number.isSafeInteger(frame.seq)) return state;
  state.head = Math.max(state.head, frame.seq);
  if (frame.seq <= state.seq) return state;
  if (frame.seq > state.seq + 1) {
    state.gap = true;
    return state;
  }
  state.seq = frame.seq;
  if (state.seq >= state.head) state.gap = false;
  record(state, frame.data, frame);
  return state;
}

function message(state, data, { run_id }) {
  const run = {
    run_id,
    client_id: data.client_id,
    message: data.content,
    agent: data.agent,
    model: "",
    enable_reasoning: data.enable_reasoning,
    timestamp: data.timestamp,
    by: data.by ?? "", // "operator", where not the user asked it again
    removedBy: "",
    state: "queued",
    attempt: 0,
    continued: [], // where a later attempt went on: {seq, attempt, reason, after: how many steps there were}
    steps: [],
    response: null,
    end: null,
    // What follows is not recorded:
    at: state.runs.length, // its place among the runs
    lastStep: 0,
    call: 0,
    drafts: [],
    draftHole: false,
    retried: false,
  };
  state.runs.push(run);
  state.byId.set(run_id, run);
}

function start(state, data, { seq, run_id }) {
  const run = state.byId.get(run_id);
  if (!run) return;
  run.state = "running";
  run.agent = data.agent;
  run.model = data.model ?? "";
  run.attempt = data.attempt ?? run.attempt + 1;
  if (run.attempt > 1) run.continued.push({ seq, attempt: run.attempt, reason: data.reason ?? "", after: run.steps.length });
  run.call = 0;
  run.retried = false;
  dropDrafts(run);
}

function step(state, data, { type, seq, run_id }) {
  const run = state.byId.get(run_id);
  if (!run) return;
  run.steps.push({ seq, kind: type, data });
  if (type === "response") run.response = data.content;
  if (Number.isSafeInteger(data.step)) run.lastStep = Math.max(run.lastStep, data.step);
  dropDrafts(run, run.lastStep);
}

function complete(state, data, { run_id }) {
  const run = state.byId.get(run_id);
  if (!run) return;
  run.state = data.state;
  run.model = data.model ?? run.model; // as it named itself
  run.end = data;
  dropDrafts(run);
}

function removed(state, data, { run_id }) {
  const run = state.byId.get(run_id);
  if (!run) return;
  run.state = "removed";
  run.removedBy = data.by ?? "";
  dropDrafts(run);
}

function dropDrafts(run, through = Infinity) {
  if (run.drafts.length) run.drafts = run.drafts.filter((draft) => draft.step > through);
  if (!run.drafts.length) run.draftHole = false;
}

// --- passing frames ------------------------------------------------------------------------------------------------------

function connected(state, { data }) {
  state.epoch ??= data.epoch ?? null;
  // A head of another history says nothing about this one; the server answers the next `resume` with `reset`.
  if (data.epoch === state.epoch) state.head = Math.max(state.head, data.head ?? 0);
  return state;
}

function pong(state, { data }) {
  state.head = Math.max(state.head, data.head ?? 0);
  return state;
}

function resumed(state, { data }) {
  state.epoch ??= data.epoch ?? null;
  state.head = Math.max(state.head, data.head);
  state.gap = state.seq < data.through;
  // If a piece was missing, the drafts follow from their beginning.
  const run = activeRun(state);
  if (run && !data.more) run.draftHole = false;
  return state;
}

function reset(state, { data }) {
  Object.assign(state, initial(), { epoch: data.epoch, head: data.head, marks: state.marks });
  return state;
}

function marks(state, { data }) {
  const { marks: known } = state;
  known.isPrivate = data.is_private;
  if (data.is_all) known.feedback.clear();
  for (const { run_id, thumb, comment } of data.feedback) {
    if (thumb === null) known.feedback.delete(run_id);
    else known.feedback.set(run_id, { thumb, comment });
  }
  return state;
}

function delta(state, { run_id, data }) {
  const run = state.byId.get(run_id);
  if (!run || !isActive(run)) return state;
  if (data.attempt !== run.attempt || data.step <= run.lastStep || data.call < run.call) return state;
  if (data.call > run.call) {
    run.call = data.call;
    run.retried = false;
    dropDrafts(run);
  }
  if (data.discarded) run.retried = true;
  let draft = run.drafts.find(({ step }) => step === data.step);
  const length = draft ? draft.content.length : 0;
  if (data.offset > length) {
    run.draftHole = true;
    return state;
  }
  if (!draft) {
    draft = { step: data.step, type: data.type, iteration: data.iteration, content: "", retried: run.retried };
    run.drafts.push(draft);
    run.drafts.sort((one, other) => one.step - other.step);
  }
  draft.content += data.content.slice(length - data.offset);
  return state;
}
