// A notification of the browser's when a server is ready or has failed, for those who want one.
const WANTED = "beamhub-notify";
const button = document.getElementById("notify");
const note = document.getElementById("notify-note");
const possible = button && "Notification" in window && window.isSecureContext;

function allowed() {
  return Notification.permission === "granted" && localStorage.getItem(WANTED) === "yes";
}

function show() {
  // Who has refused is not asked again.
  button.hidden = Notification.permission === "denied";
  button.setAttribute("aria-pressed", String(allowed()));
}

async function change() {
  const wanted = !allowed();
  const answer = wanted ? await Notification.requestPermission() : "";
  localStorage.setItem(WANTED, answer === "granted" ? "yes" : "no");
  if (answer === "denied") note.textContent = "Your browser doesn't allow it on this site.";
  show();
}

if (possible) {
  button.addEventListener("click", change);
  show();
}

/** Tell that the wait is over: in the page's title, and by a notification where it's wanted. */
export function tell(text) {
  document.title = text;
  if (!possible || !allowed()) return;
  const notification = new Notification(text, { tag: location.pathname });
  notification.addEventListener("click", () => {
    window.focus();
    notification.close();
  });
}
