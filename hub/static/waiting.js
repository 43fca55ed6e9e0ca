// A page without steps to show: looks every few seconds whether there is something else to say.
const { goOn, look } = await import(`./again.js${new URL(import.meta.url).search}`);

const AGAIN_MS = 3000;
const shown = document.getElementById("main").textContent;

async function again() {
  const page = await look().catch(() => undefined);
  if (page && page.getElementById("main")?.textContent !== shown) goOn();
  else setTimeout(again, AGAIN_MS);
}

setTimeout(again, AGAIN_MS);
