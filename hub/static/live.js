// Parts of a page about a workshop: shows what the hub sends, and asks again while it is open.
const live = document.querySelector("[data-events]");
const silent = document.getElementById("live");
const AGAIN_MS = 2000;
const LONGEST_MS = 10_000;
let pause = AGAIN_MS;

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const part of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    // Only what is different: a table that somebody reads keeps its place.
    if (old.innerHTML !== part.innerHTML) old.replaceChildren(...part.childNodes);
  }
}

function listen() {
  const source = new EventSource(live.dataset.events);
  source.onmessage = (event) => {
    pause = AGAIN_MS;
    silent.hidden = true;
    show(JSON.parse(event.data).html);
  };
  // The workshop was deleted, or left: the page says so.
  source.addEventListener("gone", () => {
    source.close();
    location.reload();
  });
  // A stream ends after some minutes too, and with the portal; a browser gives up on some errors.
  source.onerror = () => {
    source.close();
    silent.hidden = pause === AGAIN_MS;
    setTimeout(listen, pause);
    pause = Math.min(2 * pause, LONGEST_MS);
  };
}

listen();
