// The extension's two plugins, made of what JupyterLab shares.
import { Lifetime } from "./lifetime.js";
import { Saving } from "./saving.js";
import { Telling } from "./telling.js";

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
  const urls = { ask: `${hub}lifetime/${name}`, home: `${hub}home`, again: `${hub}open/${name}` };
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
        bar?.registerStatusItem("beamhub:lifetime", {
          item: new Widget({ node: telling.node }),
          align: "right",
          rank: -100,
        });
        lifetime = new Lifetime(place, telling, new Saving(app.shell, documents));
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
