// Connecting a phone: what to type into it, and a code that Linphone scans.

import { api, doing, fill, h } from "/assets/dom.js";

/** The card, which keeps what it shows while the house around it is drawn again. */
export function connect(app) {
  const where = h("div");
  const result = h("div", { "aria-live": "polite" });
  const name = h("input", { "aria-label": "Name of the phone", placeholder: "kitchen", pattern: "[a-z0-9._+\\-]{1,32}", required: true, autocomplete: "off", autocapitalize: "none", maxLength: 32 });
  const form = app.me.is_owner && h("form", {
    class: "inline",
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        show(await api("/api/web/phones", { name: name.value.trim() }));
        name.value = "";
      } catch (error) {
        fill(result, h("p", { class: "bad", role: "alert" }, error.message));
      }
    },
  }, name, h("button", { type: "submit", class: "main" }, "Add a phone"));
  const card = h("section", { class: "card", id: "connect" },
    h("h2", {}, "Connect a phone"),
    h("p", {}, "Any SIP softphone or desk phone: Linphone, baresip, Zoiper, Snom, Yealink."),
    where, form,
    h("p", {}, h("button", {
      class: "quiet",
      onclick: doing(async () => {
        if (!confirm(`Phones of ${app.me.person} with the old password are refused then. Go on?`)) return;
        show(await api(`/api/web/phones/${app.me.person}/password`, undefined, { method: "POST" }));
      }),
    }, `New password for ${app.me.person}`)),
    result);

  function show(made) {
    fill(result, h("div", { class: "made" },
      h("p", {}, h("b", {}, "Type this into the phone. "), "The password is shown this once."),
      h("dl", { class: "facts" },
        [["Server", made.server], ["Transport", made.transport], ["User", made.user], ["Password", made.password]].map(([key, value]) =>
          value && h("div", {}, h("dt", {}, key), h("dd", {}, h("code", {}, value))))),
      made.qr
        ? [h("img", { class: "qr", alt: "QR code that sets up Linphone", src: `data:image/svg+xml,${encodeURIComponent(made.qr)}` }),
          h("p", { class: "about" }, "Or in Linphone: “Scan a QR code” / “Fetch remote configuration”. It works for ten minutes, from where the phone reaches this page.")]
        : h("p", { class: "about" }, "A code to scan needs this page at an address that the phone reaches: set bind = [\"loopback\", \"tailnet\"] in [web].")));
  }

  api("/api/web/connect").then((found) => {
    const best = found.best;
    fill(where,
      best && h("dl", { class: "facts" },
        h("div", {}, h("dt", {}, "Server"), h("dd", {}, h("code", {}, best.address))),
        h("div", {}, h("dt", {}, "Transport"), h("dd", {}, best.transport))),
      best?.is_here_only && h("p", { class: "bad" }, "Only phones on this machine reach it: set bind in [sip], or start Tailscale and restart."));
  }, () => {});
  return { card };
}
