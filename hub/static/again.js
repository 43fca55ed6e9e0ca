// Pages that wait for other news: they look for it, and go on only when there is some.

/** Go on, but not behind the reader's back: a tab that isn't looked at keeps its title till then. */
export function goOn() {
  if (!document.hidden) {
    location.reload();
    return;
  }
  document.addEventListener("visibilitychange", () => location.reload(), { once: true });
}

/** Return what this page's address shows now; nothing where only the proxy says that it can't. */
export async function look() {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  // A page of ours may have a status of failure.
  return answer.ok || page.getElementById("main") ? page : undefined;
}
