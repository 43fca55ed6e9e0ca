// What JupyterLab expects of an extension that is built already: a container with these two calls.
// Written by hand, there is nothing to build: the rest are ordinary modules beside this file. Their
// folder isn't called "static", which JupyterLab lets browsers keep for ever.
(() => {
  const here = document.currentScript.src;
  let shared;
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB.beamhub = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const { pluginsOf } = await import(new URL("plugins.js", here));
      const plugins = await pluginsOf(shared);
      return () => ({ __esModule: true, default: plugins });
    },
  };
})();
