// What the portal tells of a server that doesn't answer only to those who may use it: the proxy asked
// for this page without anybody's cookie.
const query = new URL(import.meta.url).search;
await import(`./waiting.js${query}`);

const address = new URL("../error/503", import.meta.url);
address.searchParams.set("url", location.pathname);
const answer = await fetch(address).catch(() => undefined);
if (answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const told = page.getElementById("told");
  if (told) document.getElementById("told").replaceWith(told);
}
