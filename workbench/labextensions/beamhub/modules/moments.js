// When something is due before a server's end, and the words for times.
export const WARN_MIN = [15, 5];
export const SAVE_S = [60, 30, 10];
const MOMENTS_S = [...WARN_MIN.map((minutes) => minutes * 60), ...SAVE_S];

/** Return the seconds until something is due, of which more than one may have passed. */
export function untilNext(leftS) {
  return leftS - Math.max(...MOMENTS_S.filter((moment) => moment < leftS), -Infinity);
}

/** Return the last warning that is due, in minutes before the end; Infinity for none yet. */
export function dueWarning(leftS) {
  return Math.min(...WARN_MIN.filter((minutes) => leftS <= minutes * 60), Infinity);
}

/** Return a time from now on in words: "in 3 h 10 min". */
export function inText(leftS) {
  const minutes = Math.round(leftS / 60);
  if (minutes < 1) return "in less than 1 min";
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return `in ${[hours && `${hours} h`, rest && `${rest} min`].filter(Boolean).join(" ")}`;
}

/** Return a time of day, with the day where it isn't today. */
export function clockText(time) {
  const today = new Date(time).toDateString() === new Date().toDateString();
  const day = today ? {} : { weekday: "short", day: "numeric", month: "short" };
  const parts = { ...day, hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  return new Intl.DateTimeFormat("en-GB", parts).format(time);
}
