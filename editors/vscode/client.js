// What `layerlr lsp` is told of the documents, and what VS Code is given of its answers.
"use strict";

const vscode = require("vscode");
const { Connection } = require("./protocol");
const convert = require("./convert")(vscode);

const LANGUAGE = "layerlr";
const PATIENCE = 60_000;
const CAPABILITIES = {
  general: { positionEncodings: ["utf-16"] },
  window: { workDoneProgress: true },
  workspace: { inlayHint: { refreshSupport: true } },
  textDocument: {
    publishDiagnostics: { relatedInformation: true, tagSupport: { valueSet: [1, 2] } },
    rename: { prepareSupport: true },
    codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix", "source.fixAll"] } } },
  },
};

class Client {
  /** onEnd is told why the server is gone, if nobody stopped it; onSeen of a document that is opened or saved. */
  constructor(output, onEnd, onSeen) {
    this.output = output;
    this.onEnd = onEnd;
    this.onSeen = onSeen;
    this.running = new Map();
    this.found = vscode.languages.createDiagnosticCollection(LANGUAGE);
    this.hintsChanged = new vscode.EventEmitter();
    this.subscriptions = [this.found, this.hintsChanged];
  }

  /** command: what to run; folder: the folder it runs in, if there is one. Rejects where the server does not start. */
  async start(command, folder, settings) {
    const handlers = {
      "textDocument/publishDiagnostics": (params) => this.show(params),
      "workspace/inlayHint/refresh": () => this.hintsChanged.fire(),
      "$/progress": (params) => this.progress(params),
      "window/logMessage": (params) => this.output.appendLine(params.message),
      "window/showMessage": (params) => this.output.appendLine(params.message),
    };
    this.connection = new Connection(command, folder && folder.uri.fsPath, handlers, (why) => {
      this.output.appendLine(why);
      this.dispose();
      if (!this.stopping) this.onEnd(why);
    });
    this.connection.log.on("data", (text) => this.output.append(String(text)));
    const able = await this.answered("initialize", {
      processId: process.pid,
      rootUri: folder ? String(folder.uri) : null,
      capabilities: CAPABILITIES,
      initializationOptions: {
        root: settings.get("root"),
        epochs: settings.get("epochs"),
        stepsPerEpoch: settings.get("stepsPerEpoch"),
      },
    });
    this.connection.notify("initialized", {});
    this.follow();
    this.provide(able.capabilities);
  }

  /** The answer to a request that nothing can go on without. */
  answered(method, params) {
    const late = (resolve, reject) =>
      setTimeout(reject, PATIENCE, new Error(`the language server does not answer within ${PATIENCE / 1000} seconds`));
    return Promise.race([this.connection.request(method, params), new Promise(late)]);
  }

  async stop() {
    this.stopping = true;
    this.dispose();
    if (this.connection) await this.connection.stop();
  }

  dispose() {
    for (const one of this.subscriptions.splice(0)) one.dispose();
    for (const end of this.running.values()) end();
  }

  /** Work that takes the server a while, in the status bar. */
  progress({ token, value }) {
    if (value.kind === "begin") {
      const shown = { location: vscode.ProgressLocation.Window, title: `layerlr: ${value.title}` };
      vscode.window.withProgress(shown, () => new Promise((end) => this.running.set(token, end)));
    } else if (value.kind === "end" && this.running.has(token)) {
      this.running.get(token)();
      this.running.delete(token);
    }
  }

  // ---------------------------------------------------------------- documents

  follow() {
    const workspace = vscode.workspace;
    const ours = (document) => document.languageId === LANGUAGE;
    const on = (event, react) => this.subscriptions.push(event(react));
    on(workspace.onDidOpenTextDocument, (document) => ours(document) && this.open(document));
    on(workspace.onDidCloseTextDocument, (document) => ours(document) && this.close(document));
    on(workspace.onDidChangeTextDocument, (event) => ours(event.document) && this.change(event));
    on(workspace.onDidSaveTextDocument, (document) => {
      if (!ours(document)) return;
      this.connection.notify("textDocument/didSave", this.identify(document));
      this.onSeen(document);
    });
    const watcher = workspace.createFileSystemWatcher("**/*.{lr,json}");
    const changed = (uri) =>
      this.connection.notify("workspace/didChangeWatchedFiles", { changes: [{ uri: String(uri), type: 2 }] });
    this.subscriptions.push(watcher, watcher.onDidChange(changed), watcher.onDidCreate(changed), watcher.onDidDelete(changed));
    for (const document of workspace.textDocuments) if (ours(document)) this.open(document);
  }

  identify(document) {
    return { textDocument: { uri: String(document.uri) } };
  }

  open(document) {
    const textDocument = {
      uri: String(document.uri),
      languageId: LANGUAGE,
      version: document.version,
      text: document.getText(),
    };
    this.connection.notify("textDocument/didOpen", { textDocument });
    this.onSeen(document);
  }

  close(document) {
    this.connection.notify("textDocument/didClose", this.identify(document));
  }

  change(event) {
    if (event.contentChanges.length === 0) return;
    this.connection.notify("textDocument/didChange", {
      textDocument: { uri: String(event.document.uri), version: event.document.version },
      contentChanges: event.contentChanges.map((c) => ({ range: convert.plain(c.range), text: c.text })),
    });
  }

  show(params) {
    if (this.stopping) return;
    this.found.set(vscode.Uri.parse(params.uri), params.diagnostics.map(convert.diagnostic));
  }

  // ---------------------------------------------------------------- features

  ask(method, document, more, token) {
    return this.connection.request(`textDocument/${method}`, { ...this.identify(document), ...more }, token);
  }

  provide(capabilities) {
    const languages = vscode.languages;
    const list = (make) => (found) => (found || []).map(make);
    const one = (make) => (found) => (found ? make(found) : null);
    const at = (method, make, more = {}) => (document, position, token) =>
      this.ask(method, document, { position, ...more }, token).then(make);
    const provider = (register, methods, ...rest) =>
      this.subscriptions.push(languages[register](LANGUAGE, methods, ...rest));

    const completions = (found) => new vscode.CompletionList(found.items.map(convert.completionItem), found.isIncomplete);
    provider(
      "registerCompletionItemProvider",
      { provideCompletionItems: at("completion", one(completions)) },
      ".", "@", '"', "(", "=", ">"
    );
    provider("registerHoverProvider", { provideHover: at("hover", one(convert.hover)) });
    provider("registerDefinitionProvider", { provideDefinition: at("definition", one(convert.location)) });
    provider("registerReferenceProvider", {
      provideReferences: (document, position, context, token) =>
        this.ask("references", document, { position, context }, token).then(list(convert.location)),
    });
    provider("registerRenameProvider", {
      provideRenameEdits: (document, position, newName, token) =>
        this.ask("rename", document, { position, newName }, token).then(one(convert.workspaceEdit)),
      prepareRename: (document, position, token) =>
        this.ask("prepareRename", document, { position }, token).then((found) => {
          if (!found) throw new Error("only lets and groups have names of their own");
          return convert.range(found);
        }),
    });
    const { tokenTypes, tokenModifiers } = capabilities.semanticTokensProvider.legend;
    const tokens = (document, token) => this.ask("semanticTokens/full", document, {}, token).then(one(convert.tokens));
    provider(
      "registerDocumentSemanticTokensProvider",
      { provideDocumentSemanticTokens: tokens },
      new vscode.SemanticTokensLegend(tokenTypes, tokenModifiers)
    );
    provider("registerDocumentSymbolProvider", {
      provideDocumentSymbols: (document, token) =>
        this.ask("documentSymbol", document, {}, token).then(list(convert.symbol)),
    });
    provider("registerDocumentFormattingEditProvider", {
      provideDocumentFormattingEdits: (document, options, token) =>
        this.ask("formatting", document, { options }, token).then(list(convert.textEdit)),
    });
    provider("registerInlayHintsProvider", {
      onDidChangeInlayHints: this.hintsChanged.event,
      provideInlayHints: (document, range, token) =>
        this.ask("inlayHint", document, { range: convert.plain(range) }, token).then(list(convert.inlayHint)),
    });
    provider("registerCodeActionsProvider", {
      provideCodeActions: (document, range, context, token) => {
        const only = context.only ? [context.only.value] : undefined;
        const asked = { range: convert.plain(range), context: { diagnostics: [], only } };
        return this.ask("codeAction", document, asked, token).then(list(convert.codeAction));
      },
    });
  }
}

module.exports = { Client, LANGUAGE };
