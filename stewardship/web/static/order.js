// The form of an order: tells htmx when something that matters has changed, and fills in what the chosen
// product tells. Without it the form is checked with its button.
"use strict";

(function () {
  const form = document.querySelector("[data-order]");
  if (!form) return;
  form.querySelectorAll("[data-plain]").forEach((button) => { button.hidden = true; });
  const changed = () => form.dispatchEvent(new CustomEvent("orderchange"));

  form.addEventListener("change", (event) => {
    if (event.target.name === "rxcui") {
      form.elements.medicine.value = event.target.dataset.name || form.elements.medicine.value;
      const unit = event.target.dataset.unit;
      if (unit && !form.elements.unit.value) form.elements.unit.value = unit;
    }
    changed();
  });
  form.addEventListener("input", (event) => {
    if (event.target.id !== "medicine" && event.target.type === "text") changed();
  });
  // Enter in a field checks; it never submits the order.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input:not([type=radio]):not([type=checkbox])")) {
      event.preventDefault();
      changed();
    }
  });
})();
