// The form that starts a use case: what each size would find now, told again while one chooses.
const EVERY_MS = 15_000;
const form = document.querySelector("[data-outlooks]");

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(form.dataset.outlooks);
  if (!answer.ok) return;
  for (const [size, words] of Object.entries(await answer.json())) {
    const place = form.querySelector(`[data-outlook="${size}"]`);
    if (place && place.textContent !== words) place.textContent = words;
  }
}

if (form) setInterval(() => refresh().catch(() => undefined), EVERY_MS);
