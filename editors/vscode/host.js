// Runs in the page of a picture, ahead of its own script: what the page asks of a browser, answered for VS Code.
"use strict";

function host(uri) {
  const code = acquireVsCodeApi();
  code.setState({ uri });

  // The theme is the editor's, whatever the system prefers.
  const dark = () => ["vscode-dark", "vscode-high-contrast"].includes(document.body.dataset.vscodeThemeKind);
  const theme = new EventTarget();
  Object.defineProperty(theme, "matches", { get: dark });
  const ask = window.matchMedia.bind(window);
  window.matchMedia = (query) => (/prefers-color-scheme: *dark/.test(query) ? theme : ask(query));
  const written = new Map();
  const follow = () => {
    for (const rule of [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])) {
      if (!rule.media) continue;
      if (!written.has(rule)) written.set(rule, rule.media.mediaText);
      const met = (whole, wanted) => ((wanted === "dark") === dark() ? "(min-width: 0px)" : "(max-width: 0px)");
      rule.media.mediaText = written.get(rule).replace(/\(prefers-color-scheme: *(dark|light)\)/g, met);
    }
    document.documentElement.style.colorScheme = dark() ? "dark" : "light";
    theme.dispatchEvent(new Event("change"));
  };
  follow();
  new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-vscode-theme-kind"] });

  // A rule that is chosen is shown in the text; its number on the page says where it is written.
  document.addEventListener("click", (event) => {
    const chosen = event.target.closest && event.target.closest("#rules button[aria-pressed=true]");
    if (chosen) code.postMessage({ rule: data.rules[[...document.querySelectorAll("#rules button")].indexOf(chosen)][1] });
  });
}
