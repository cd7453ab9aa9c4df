// The picture of a rule file beside its text: the page of `layerlr view`, from the language server.
"use strict";

const { readFileSync } = require("fs");
const path = require("path");

const HOST = readFileSync(path.join(__dirname, "host.js"), "utf8");
const STYLE = `:root { --paper: var(--vscode-editor-background); --ink: var(--vscode-editor-foreground); --focus: var(--vscode-focusBorder); }
body.vscode-high-contrast { --line: var(--vscode-contrastBorder); --soft: var(--vscode-editor-foreground); }`;

/** A page with what lets it live in VS Code. */
function dressed(page, uri) {
  const text = JSON.stringify(uri).replace(/</g, "\\u003c");
  return page.replace("<body>", () => `<body><style>${STYLE}</style><script>${HOST}host(${text});</script>`);
}

module.exports = (vscode) => {
  /** The pages that are open, by document. ask(method, params): a request to the server, as it is at present. */
  class Previews {
    constructor(ask) {
      this.ask = ask;
      this.panels = new Map();
    }

    /** Show the picture of a document, in a column beside it. */
    async show(uri) {
      const there = this.panels.get(String(uri));
      if (there) return there.panel.reveal(undefined, true);
      const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
      await this.hold(vscode.window.createWebviewPanel("layerlr.preview", "", place, { retainContextWhenHidden: true }), uri);
    }

    /** A panel from before the window was loaded again. */
    async restore(panel, state) {
      if (!state || this.panels.has(state.uri)) return panel.dispose();
      const uri = vscode.Uri.parse(state.uri);
      await vscode.workspace.openTextDocument(uri).then(() => this.hold(panel, uri), () => panel.dispose());
    }

    /** Files that have new names keep their pictures. */
    async renamed(files) {
      for (const { oldUri, newUri } of files) {
        const one = this.panels.get(String(oldUri));
        if (!one) continue;
        this.panels.delete(String(oldUri));
        this.name(one, newUri);
        await this.fill(one);
      }
    }

    async hold(panel, uri) {
      const one = { panel, uri, drawn: false, filled: false, filling: false };
      this.name(one, uri);
      panel.webview.options = { enableScripts: true, localResourceRoots: [] };
      panel.onDidDispose(() => this.panels.delete(String(one.uri)));
      panel.webview.onDidReceiveMessage(({ rule }) => rule && this.reveal(one.uri, rule));
      await this.fill(one);
    }

    name(one, uri) {
      one.uri = uri;
      one.panel.title = `Network of ${uri.path.split("/").pop()}`;
      this.panels.set(String(uri), one);
    }

    /** Say what is new after a document was saved, if its picture is shown. */
    async renew(one) {
      if (!one.filled) return this.fill(one);
      const news = await this.ask("layerlr/news", { uri: String(one.uri), drawn: one.drawn }).catch(() => null);
      if (!news || !this.shows(one)) return;
      one.drawn = one.drawn || Boolean(news.drawing);
      one.panel.webview.postMessage(news);
    }

    /** An included file counts for every picture. */
    async renewAll() {
      await Promise.all([...this.panels.values()].map((one) => this.renew(one)));
    }

    async fill(one) {
      if (one.filling) return;
      one.filling = true;
      this.write(one, waiting("drawing ..."));
      const found = await this.ask("layerlr/page", { uri: String(one.uri) }).then(
        (page) => ({ page, why: "open the file to see its network" }),
        (fault) => ({ page: null, why: `nothing is drawn: ${fault.message}` })
      );
      one.filling = false;
      if (!this.shows(one)) return;
      one.filled = Boolean(found.page);
      one.drawn = one.filled && !found.page.includes("nothing can be drawn yet");
      this.write(one, found.page || waiting(found.why));
    }

    shows(one) {
      return this.panels.get(String(one.uri)) === one;
    }

    write(one, page) {
      one.panel.webview.html = dressed(page, String(one.uri));
    }

    /** Show the statement of a rule, `FILE:LINE`, where its file is beside the one that is drawn or below. */
    async reveal(uri, rule) {
      const [, file, line] = /^(.*):(\d+)$/.exec(rule) || [];
      if (!file) return;
      const written = uri.path.endsWith(`/${file}`) ? uri : vscode.Uri.joinPath(uri, "..", file);
      const found = vscode.window.visibleTextEditors.find((editor) => String(editor.document.uri) === String(written));
      const range = new vscode.Range(new vscode.Position(line - 1, 0), new vscode.Position(line - 1, 0));
      const options = { selection: range, preserveFocus: true, viewColumn: found ? found.viewColumn : vscode.ViewColumn.One };
      await vscode.window.showTextDocument(written, options).then(undefined, () => {});
    }
  }

  const escaped = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const waiting = (text) => `<!doctype html><meta charset="utf-8"><body><p>${escaped(text)}</p></body>`;
  return { Previews, dressed };
};
