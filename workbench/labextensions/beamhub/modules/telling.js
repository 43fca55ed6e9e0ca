// What the reader sees: a line in the status bar, JupyterLab's own notices, a question at the end.
import { clockText, inText, WARN_MIN } from "./moments.js";

const WARNING = "⚠ ";

export class Telling {
  #commands;
  #apputils;
  #place;
  #notices = {};

  constructor(commands, apputils, place) {
    this.#commands = commands;
    this.#apputils = apputils;
    this.#place = place;
    this.node = document.createElement("a");
    this.node.className = "jp-StatusBar-TextItem";
    this.node.href = place.home;
    this.node.target = "_blank";
    this.node.style.color = "inherit";
    commands.addCommand("beamhub:home", {
      label: "Running Servers",
      execute: () => void window.open(place.home, "_blank", "noopener"),
    });
  }

  #show(text, more) {
    this.node.textContent = text;
    this.node.title = `${more} Opens the list of your running servers.`;
    this.node.setAttribute("aria-label", `${text}. ${this.node.title}`);
  }

  /** Show a notice; one of the same kind that is still there goes. */
  async #notice(kind, type, message, actions = []) {
    await this.#dismiss(kind);
    const options = { autoClose: false, actions };
    this.#notices[kind] = this.#commands.execute("apputils:notify", { message, type, options });
    await this.#notices[kind];
  }

  async #dismiss(kind) {
    const id = await this.#notices[kind];
    delete this.#notices[kind];
    if (id) await this.#commands.execute("apputils:dismiss-notification", { id });
  }

  left(leftS, end) {
    const text = leftS > 0 ? `Ends ${inText(leftS)}` : "Ends now";
    const soon = leftS <= WARN_MIN[0] * 60 ? WARNING : "";
    this.#show(`${soon}${text}`, `This server ends at ${clockText(end)}.`);
  }

  endless() {
    this.#show("", "");
  }

  warn(leftS, end, longer) {
    const again = longer ? "start it again with a longer size" : "start it again";
    this.#notice(
      "warning",
      "warning",
      // JupyterLab shows the first 140 characters.
      `This server ends ${inText(leftS)}, at ${clockText(end)}. Save your work, then stop it and ` +
        `${again} if you need more time.`,
      [
        { label: "Save all", commandId: "docmanager:save-all", displayType: "accent" },
        { label: "Running servers", commandId: "beamhub:home" },
      ],
    );
  }

  unwarn() {
    this.#dismiss("warning");
  }

  ending() {
    this.#notice("warning", "warning", "This server ends now. Open documents are being saved.");
  }

  saved({ saved, beside, failed }) {
    const parts = [
      saved.length && `Saved before the end: ${saved.join(", ")}.`,
      beside.length && `Changed on disk meanwhile, so your text is in: ${beside.join(", ")}.`,
      failed.length && `Could not be saved: ${failed.join(", ")}.`,
    ].filter(Boolean);
    if (parts.length) this.#notice("saved", failed.length ? "error" : "info", parts.join(" "));
  }

  unreachable() {
    this.#notice(
      "unreachable",
      "error",
      "Neither this server nor the portal answers: the network may be away. This page goes on by " +
        "itself.",
    );
  }

  reachable() {
    this.#dismiss("unreachable");
  }

  async ended(why, unsaved) {
    this.#show(`${WARNING}Ended`, "This server has ended.");
    this.unwarn();
    const { Dialog, showDialog } = this.#apputils;
    // Questions about kernels that died with it would have to be answered first.
    Dialog.flush();
    const left = unsaved.length
      ? ` Not saved: ${unsaved.join(", ")}. Stay here to copy what you need.`
      : "";
    const answer = await showDialog({
      title: "This server has ended",
      body: `${why || "It was stopped."} Saved files are where you left them.${left}`,
      buttons: [
        Dialog.cancelButton({ label: "Stay here" }),
        Dialog.okButton({ label: "Open it again" }),
      ],
    });
    if (answer.button.accept) location.assign(this.#place.again);
  }
}
