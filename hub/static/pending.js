// The page of a server that starts: shows every step as it comes, then goes on to the server.
// By the same version: what stands behind "?" lets browsers keep a script for ever.
const version = new URL(import.meta.url).search;
const { goOn, look } = await import(`./again.js${version}`);
const { tell } = await import(`./notify.js${version}`);

const box = document.getElementById("pending");
const message = document.getElementById("message");
const bar = document.getElementById("progress");
const steps = document.getElementById("steps");
const elapsed = document.getElementById("elapsed");
const began = Date.now() - Number(box.dataset.elapsed) * 1000;
const AGAIN_MS = 2000;

function seconds() {
  return Math.round((Date.now() - began) / 1000);
}

const clock = setInterval(() => {
  const s = seconds();
  elapsed.textContent = s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}, 1000);

function show(event) {
  if (event.progress !== undefined) bar.value = event.progress;
  if (!event.message) return;
  // Told again by a screen reader only if it's news.
  if (message.textContent !== event.message) message.textContent = event.message;
  const step = document.createElement("li");
  step.textContent = `${seconds()} s: ${event.detail || event.message}`;
  steps.append(step);
}

let source;

function listen(address) {
  source = new EventSource(address);
  source.onmessage = (raw) => {
    const event = JSON.parse(raw.data);
    if (event.ready) {
      source.close();
      clearInterval(clock);
      tell(`Ready: ${box.dataset.title}`);
      goOn();
    } else if (event.failed) {
      // A portal that is being stopped says so too, just before it is gone.
      source.close();
      setTimeout(() => again(`Did not start: ${box.dataset.title}`), AGAIN_MS);
    } else {
      show(event);
    }
  };
  source.onerror = () => {
    source.close();
    setTimeout(() => again(), AGAIN_MS);
  };
}

// The stream also ends when the start was stopped elsewhere, or the portal is restarted: the page
// itself knows what is true. It's loaded again only if it is another one, as the portal may be
// about to go.
async function again(news) {
  const page = await look().catch(() => undefined);
  const pending = page?.getElementById("pending");
  if (!page) {
    show({ message: "The portal is not answering. This page continues by itself as soon as it does." });
    setTimeout(() => again(), AGAIN_MS);
  } else if (pending) {
    listen(pending.dataset.progress);
  } else {
    if (news) tell(news);
    goOn();
  }
}

// Who sends a form goes elsewhere: the stream's end must not load this page again.
document.addEventListener("submit", () => source.close());
listen(box.dataset.progress);
