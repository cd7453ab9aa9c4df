// The picture of a rule file beside its text: the page of `layerlr view`, from the language server.
"use strict";

module.exports = (vscode) => {
  /** The pages that are open, by document. ask(method, params): a request to the server, as it is at present. */
  class Previews {
    constructor(ask) {
      this.ask = ask;
      this.panels = new Map();
    }

    /** Show the picture of a document, in a column beside it. */
    async show(document) {
      const uri = String(document.uri);
      const there = this.panels.get(uri);
      if (there) return there.panel.reveal(undefined, true);
      const name = uri.split("/").pop();
      const panel = vscode.window.createWebviewPanel(
        "layerlr.preview",
        `Network of ${decodeURIComponent(name)}`,
        { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
        { enableScripts: true, retainContextWhenHidden: true, localResourceRoots: [] }
      );
      const one = { panel, drawn: false, filled: false };
      this.panels.set(uri, one);
      panel.onDidDispose(() => this.panels.delete(uri));
      panel.webview.html = waiting("drawing ...");
      await this.fill(uri, one);
    }

    /** Say what is new after a document was saved, if its picture is shown. */
    async renew(uri) {
      const one = this.panels.get(uri);
      if (!one) return;
      if (!one.filled) return this.fill(uri, one);
      const news = await this.ask("layerlr/news", { uri, drawn: one.drawn }).catch(() => null);
      if (!news || this.panels.get(uri) !== one) return;
      one.drawn = one.drawn || Boolean(news.drawing);
      one.panel.webview.postMessage(news);
    }

    /** An included file counts for every picture. */
    async renewAll() {
      await Promise.all([...this.panels.keys()].map((uri) => this.renew(uri)));
    }

    async fill(uri, one) {
      const page = await this.ask("layerlr/page", { uri }).catch(() => null);
      if (this.panels.get(uri) !== one) return;
      one.filled = Boolean(page);
      one.drawn = Boolean(page) && !page.includes("nothing can be drawn yet");
      one.panel.webview.html = page || waiting("The language server does not answer. Save the file to try again.");
    }
  }

  const waiting = (text) => `<!doctype html><meta charset="utf-8"><body><p>${text}</p></body>`;
  return { Previews };
};
