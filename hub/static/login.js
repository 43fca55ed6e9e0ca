// The cursor goes to the first field that is still empty.
const empty = [...document.querySelectorAll("form input.form-control")].find((field) => !field.value);
empty?.focus();
