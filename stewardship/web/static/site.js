// The frame's own behaviour; every page works without it.
"use strict";

(function () {
  const year = 365 * 24 * 3600;
  const keep = (name, value) => {
    document.cookie = name + "=" + value + "; path=/; max-age=" + (value ? year : 0) + "; SameSite=Lax";
  };

  // Dates are written by the server: it has to know the reader's zone.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  if (/^[A-Za-z0-9_+\/-]{1,64}$/.test(zone)) keep("zone", zone);

  // The theme changes where it stands, so that nothing typed is lost.
  const media = { "": "screen and (prefers-color-scheme: dark)", light: "not all", dark: "screen" };
  document.querySelectorAll("[data-theme-switch]").forEach((form) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = event.submitter ? event.submitter.value : "";
      keep("theme", chosen);
      document.getElementById("dark").media = media[chosen];
      if (chosen) document.documentElement.dataset.theme = chosen;
      else delete document.documentElement.dataset.theme;
      form.querySelectorAll("button").forEach((button) => {
        button.setAttribute("aria-pressed", String(button.value === chosen));
      });
      document.dispatchEvent(new CustomEvent("themechange"));
    });
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });
})();
