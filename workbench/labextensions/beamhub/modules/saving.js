// Saves what is open, and never over a file that has changed on disk: then beside it.
const AREAS = ["main", "left", "right", "down"];
const SAME_MS = 500; // as JupyterLab has it: clocks of file systems are coarse

/** Return whether a file on disk isn't the one that was read; both as the server describes them. */
function differs(read, found) {
  if (read.hash && found.hash) return read.hash !== found.hash;
  return Date.parse(found.last_modified) - Date.parse(read.last_modified) > SAME_MS;
}

function nameOf(path) {
  return path.split("/").pop();
}

/** Return a name for text that can't go where it belongs: "notes (unsaved 2026-11-24 14.32.05).txt". */
function nameBeside(path) {
  const stamp = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString();
  const when = stamp.slice(0, 19).replace("T", " ").replaceAll(":", ".");
  const [, stem, ending] = /^(.*?[^/]*?)(\.[^./]*)?$/.exec(path);
  return `${stem} (unsaved ${when})${ending ?? ""}`;
}

export class Saving {
  #shell;
  #documents;
  #beside = new WeakMap();
  #turn = Promise.resolve();

  constructor(shell, documents) {
    this.#shell = shell;
    this.#documents = documents;
  }

  /** Return the open documents with text that isn't on disk, each once. */
  #dirty() {
    const widgets = AREAS.flatMap((area) => [...this.#shell.widgets(area)]);
    const contexts = widgets.map((widget) => this.#documents.contextForWidget(widget));
    return [...new Set(contexts)].filter((context) => context?.isReady && context.model.dirty);
  }

  /** Return the names of the documents that aren't saved, nor their text kept beside. */
  unsaved() {
    return this.#dirty().filter((context) => !this.#beside.has(context)).map((c) => nameOf(c.path));
  }

  /** Save all, once what is being saved is; return what became of them, as `#now` does. */
  all() {
    this.#turn = this.#turn.then(() => this.#now());
    return this.#turn;
  }

  /** Save all; return the names of those saved, those kept beside and those that failed. */
  async #now() {
    const done = { saved: [], beside: [], failed: [] };
    const one = async (context) => {
      try {
        const beside = await this.#save(context);
        done[beside ? "beside" : "saved"].push(nameOf(beside ?? context.path));
      } catch (error) {
        console.warn(`${context.path} could not be saved`, error);
        done.failed.push(nameOf(context.path));
      }
    };
    await Promise.all(this.#dirty().map(one));
    return done;
  }

  /** Save one; return the name of the file beside it that its text went to, if it did. */
  async #save(context) {
    const found = await this.#onDisk(context.path);
    if (found && (!found.writable || differs(context.contentsModel, found))) {
      return this.#keepBeside(context);
    }
    await context.save();
    this.#beside.delete(context);
    return undefined;
  }

  async #onDisk(path) {
    try {
      return await this.#documents.services.contents.get(path, { content: false, hash: true });
    } catch (error) {
      if (error.response?.status === 404) return null; // somebody removed it: it's made again
      throw error;
    }
  }

  async #keepBeside(context) {
    const path = this.#beside.get(context) ?? nameBeside(context.path);
    const { type, format } = context.contentsModel;
    const { model } = context;
    const content = format === "json" ? model.toJSON() : model.toString();
    await this.#documents.services.contents.save(path, { type, format, content });
    this.#beside.set(context, path);
    return path;
  }
}
