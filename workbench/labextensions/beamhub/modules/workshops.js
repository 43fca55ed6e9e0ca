// What a workshop's participant sees in JupyterLab: what all are told, and the way to their page.
const SEEN = "beamhub-workshop-messages";
const OPEN = "beamhub:workshop";

function seen() {
  return JSON.parse(sessionStorage.getItem(SEEN) ?? "[]");
}

export class Workshops {
  #commands;
  #hub;
  #notices = new Map();
  any = false;

  constructor(commands, hub) {
    this.#commands = commands;
    this.#hub = hub;
    this.node = document.createElement("a");
    this.node.className = "jp-StatusBar-TextItem";
    this.node.target = "_blank";
    this.node.style.color = "inherit";
    commands.addCommand(OPEN, {
      label: "Workshop",
      execute: ({ page }) => void window.open(`${hub}${page}`, "_blank", "noopener"),
    });
  }

  /** Show the workshops in which the reader is now; none where the hub has none. */
  show(workshops = []) {
    this.any = workshops.length > 0;
    const [first] = workshops;
    this.node.hidden = !first;
    if (first) {
      this.node.href = `${this.#hub}${first.page}`;
      this.node.textContent = first.hand ? "⚑ Hand raised" : "Workshop: raise your hand";
      this.node.title = `Opens your page of the workshop “${first.title}”.`;
    }
    const told = workshops.filter(({ message }) => message);
    for (const id of this.#notices.keys()) {
      if (!told.some((one) => one.message_id === id)) this.#dismiss(id);
    }
    for (const one of told) this.#tell(one);
  }

  /** Show a message once in a tab, however often the page is loaded; again if that failed. */
  async #tell({ message, message_id: id, page }) {
    if (this.#notices.has(id) || seen().includes(id)) return;
    const actions = [{ label: "Workshop's page", commandId: OPEN, args: { page } }];
    const options = { autoClose: false, actions };
    const notice = { message: `Workshop: ${message}`, type: "info", options };
    const shown = this.#commands.execute("apputils:notify", notice);
    this.#notices.set(id, shown);
    try {
      await shown;
      sessionStorage.setItem(SEEN, JSON.stringify([...seen(), id]));
    } catch (error) {
      this.#notices.delete(id);
      console.warn("A message of the workshop could not be shown", error);
    }
  }

  async #dismiss(id) {
    const notice = await this.#notices.get(id);
    this.#notices.delete(id);
    await this.#commands.execute("apputils:dismiss-notification", { id: notice });
  }
}
