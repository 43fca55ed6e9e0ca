// The form that starts a use case: what each size would find now, told again while one chooses.
const EVERY_MS = 15_000;
const SOON_MS = 3_000;
const form = document.querySelector("[data-outlooks]");

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(form.dataset.outlooks);
  if (!answer.ok) return;
  for (const [size, { text, closed }] of Object.entries(await answer.json())) {
    const place = form.querySelector(`[data-outlook="${size}"]`);
    if (place && place.textContent !== text) place.textContent = text;
    const choice = form.querySelector(`[name="size"][value="${size}"]`);
    if (choice) choice.disabled = closed || "tooSmall" in choice.dataset;
  }
  if (form.querySelector('[name="size"]:checked:disabled')) {
    form.querySelector('[name="size"]:enabled')?.click();
  }
}

function again() {
  refresh().catch(() => undefined);
}

if (form) {
  // What Slurm is asked in the background is there soon.
  setTimeout(again, SOON_MS);
  setInterval(again, EVERY_MS);
}
