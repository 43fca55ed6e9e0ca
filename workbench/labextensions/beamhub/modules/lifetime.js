// The one loop: asks the hub how long the server has, and does what is due.
import { SAVE_S, dueWarning, untilNext } from "./moments.js";

const ASK_MS = 60_000;
const ASK_IN_WORKSHOP_MS = 30_000;
const ANSWER_MS = 30_000;
const AGAIN_MS = 1_000;
const TIMER_MS_MAX = 2 ** 31 - 1;

async function answerOf(url) {
  try {
    // The hub may have another host name than this server.
    const options = { credentials: "include", redirect: "error" };
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(ANSWER_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // nobody is there now: what was known stays
  }
}

export class Lifetime {
  #place;
  #telling;
  #saving;
  #workshops;
  #end = null; // in milliseconds since 1970, by this machine's clock
  #warned = Infinity;
  #over = false;
  #socket = null;
  #tries = 0;
  #timer;

  constructor(place, telling, saving, workshops) {
    this.#place = place;
    this.#telling = telling;
    this.#saving = saving;
    this.#workshops = workshops;
  }

  begin() {
    // Nobody reads a hidden page: it asks again when it's shown, or when something is due.
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    this.look();
  }

  /** Ask the hub, do what is due, and come again; return whether the hub answered. */
  async look() {
    clearTimeout(this.#timer);
    const answer = await answerOf(this.#place.ask);
    if (answer) this.#take(answer);
    if (this.#end !== null) this.#act((this.#end - Date.now()) / 1000, answer?.longer);
    this.#comeAgain();
    return answer !== null;
  }

  /** Find out why the server doesn't answer. */
  async lose() {
    if (!(await this.look())) this.#telling.unreachable();
  }

  #comeAgain() {
    clearTimeout(this.#timer);
    const left = this.#end === null ? Infinity : (this.#end - Date.now()) / 1000;
    const due = left === Infinity ? Infinity : untilNext(left) * 1000;
    const calm = this.#workshops.any ? ASK_IN_WORKSHOP_MS : ASK_MS;
    const asking = this.#socket || this.#over ? calm : AGAIN_MS * 2 ** this.#tries;
    const quiet = document.hidden && (this.#socket || this.#over);
    const pause = Math.min(due, quiet ? TIMER_MS_MAX : Math.min(asking, ASK_MS));
    this.#timer = setTimeout(() => this.look(), Math.min(pause, TIMER_MS_MAX));
  }

  #take({ state, left_s: leftS, why, workshops }) {
    this.#workshops.show(workshops);
    if (state === "ended") {
      this.#end = null;
      if (!this.#over) this.#telling.ended(why, this.#saving.unsaved());
      this.#over = true;
    } else if (state === "running") {
      this.#over = false;
      this.#end = leftS === null ? null : Date.now() + leftS * 1000;
      if (this.#end === null) this.#telling.endless();
      if (!this.#socket) this.#listen();
    }
  }

  #act(left, longer) {
    this.#telling.left(left, this.#end);
    const due = dueWarning(left);
    if (due < this.#warned) this.#telling.warn(left, this.#end, longer);
    if (due > this.#warned) this.#telling.unwarn();
    this.#warned = due;
    // Not waited for: a server that no longer answers must not keep the page from telling so.
    if (left <= SAVE_S[0]) this.#save();
  }

  async #save() {
    this.#telling.saved(await this.#saving.all());
  }

  /** Keep a socket to the server, which tells of its end; closing it says that all is saved. */
  #listen() {
    const socket = new WebSocket(this.#place.socket);
    this.#socket = socket;
    socket.onopen = () => {
      this.#tries = 0;
      this.#telling.reachable();
    };
    socket.onmessage = async () => {
      this.#telling.ending();
      await this.#save();
      socket.close();
    };
    socket.onclose = () => {
      this.#socket = null;
      this.#comeAgain();
      this.#tries += 1;
    };
  }
}
