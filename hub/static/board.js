// The board of a workshop: shows what the hub sends, and asks again for as long as it is open.
const board = document.getElementById("board");
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
  const source = new EventSource(board.dataset.events);
  source.onmessage = (event) => {
    pause = AGAIN_MS;
    silent.hidden = true;
    show(JSON.parse(event.data).html);
  };
  // A stream ends after some minutes too, and with the portal; a browser gives up on some errors.
  source.onerror = () => {
    source.close();
    silent.hidden = pause === AGAIN_MS;
    setTimeout(listen, pause);
    pause = Math.min(2 * pause, LONGEST_MS);
  };
}

listen();
