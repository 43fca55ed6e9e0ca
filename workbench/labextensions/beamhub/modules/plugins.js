// The extension's two plugins, made of what JupyterLab shares.
import { Lifetime } from "./lifetime.js";
import { Saving } from "./saving.js";
import { Telling } from "./telling.js";
import { Workshops } from "./workshops.js";

const NAMES = ["application", "apputils", "docmanager", "statusbar"].map((n) => `@jupyterlab/${n}`);

async function taken(shared, name) {
  const versions = Object.values(shared[name]);
  const factory = await (versions.find((version) => version.loaded) ?? versions[0]).get();
  return factory();
}

/** Return where this server and its hub are; null where it isn't the reader's own, or no hub's. */
function placeOf(page) {
  if (!page.hubServerName || page.hubUser !== page.hubServerUser) return null;
  const hub = `${page.hubHost}${page.hubPrefix}`;
  const name = encodeURIComponent(page.hubServerName);
  const socket = new URL(`${page.baseUrl}beamhub/ending`, page.wsUrl || location.href);
  socket.protocol = socket.protocol.replace("http", "ws");
  const urls = { ask: `${hub}lifetime/${name}`, home: `${hub}home`, hub, again: `${hub}open/${name}` };
  return { ...urls, socket };
}

export async function pluginsOf(shared) {
  const place = placeOf(JSON.parse(document.getElementById("jupyter-config-data").textContent));
  if (place === null) return [];
  const [application, apputils, docmanager, statusbar, { Widget }] = await Promise.all(
    [...NAMES, "@lumino/widgets"].map((name) => taken(shared, name)),
  );
  let lifetime;
  return [
    {
      id: "beamhub:lifetime",
      description: "Shows how long this server has, warns, and saves open documents at the end.",
      autoStart: true,
      requires: [docmanager.IDocumentManager],
      optional: [statusbar.IStatusBar],
      activate: (app, documents, bar) => {
        const telling = new Telling(app.commands, apputils, place);
        const workshops = new Workshops(app.commands, place.hub);
        for (const [name, { node }] of Object.entries({ lifetime: telling, workshop: workshops })) {
          const item = new Widget({ node });
          bar?.registerStatusItem(`beamhub:${name}`, { item, align: "right", rank: -100 });
        }
        lifetime = new Lifetime(place, telling, new Saving(app.shell, documents), workshops);
        app.restored.then(() => lifetime.begin());
      },
    },
    {
      id: "beamhub:connection-lost",
      description: "Looks why this server doesn't answer, in place of a guess that it stopped.",
      autoStart: true,
      provides: application.IConnectionLost,
      activate: () => async () => lifetime?.lose(),
    },
  ];
}
