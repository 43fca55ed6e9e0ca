// The form of a workshop: begins with the time zone in which its trainer sits.
const zone = document.getElementById("zone");
if (zone.value === zone.defaultValue && zone.value === "UTC") {
  zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}
