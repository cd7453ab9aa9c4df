// The client of `layerlr lsp`: no dependencies, so that the folder packs as it stands.
"use strict";

const vscode = require("vscode");
const { Connection } = require("./protocol");
const convert = require("./convert")(vscode);
const { Previews } = require("./preview")(vscode);

const LANGUAGE = "layerlr";
const CAPABILITIES = {
  general: { positionEncodings: ["utf-16"] },
  workspace: { inlayHint: { refreshSupport: true } },
  textDocument: {
    publishDiagnostics: { relatedInformation: true, tagSupport: { valueSet: [1, 2] } },
    rename: { prepareSupport: true },
    codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix", "source.fixAll"] } } },
  },
};

let client = null;
const previews = new Previews((method, params) =>
  client ? client.connection.request(method, params) : Promise.reject(new Error("no server is running"))
);

class Client {
  constructor(output) {
    this.output = output;
    this.found = vscode.languages.createDiagnosticCollection(LANGUAGE);
    this.hintsChanged = new vscode.EventEmitter();
    this.subscriptions = [this.found, this.hintsChanged];
  }

  async start() {
    const settings = vscode.workspace.getConfiguration(LANGUAGE);
    const folder = vscode.workspace.workspaceFolders && vscode.workspace.workspaceFolders[0];
    const path = folder && folder.uri.scheme === "file" ? folder.uri.fsPath : undefined;
    const handlers = {
      "textDocument/publishDiagnostics": (params) => this.show(params),
      "workspace/inlayHint/refresh": () => this.hintsChanged.fire(),
      "window/logMessage": (params) => this.output.appendLine(params.message),
      "window/showMessage": (params) => this.output.appendLine(params.message),
    };
    this.connection = new Connection(settings.get("command"), path, handlers, (why) => {
      this.output.appendLine(why);
      if (!this.stopping) vscode.window.showWarningMessage(`layerlr: ${why}. Is layerlr-dsl[lsp] installed?`);
    });
    this.connection.log.on("data", (text) => this.output.append(String(text)));
    await this.connection.request("initialize", {
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
    this.provide();
  }

  async stop() {
    this.stopping = true;
    for (const one of this.subscriptions) one.dispose();
    if (this.connection) await this.connection.stop();
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
      previews.renewAll();
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
    this.found.set(vscode.Uri.parse(params.uri), params.diagnostics.map(convert.diagnostic));
  }

  // ---------------------------------------------------------------- features

  ask(method, document, more, token) {
    return this.connection.request(`textDocument/${method}`, { ...this.identify(document), ...more }, token);
  }

  provide() {
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

async function restart(output) {
  await deactivate();
  if (!vscode.workspace.isTrusted) return;
  client = new Client(output);
  await client.start().catch((fault) => output.appendLine(String(fault)));
}

async function activate(context) {
  const output = vscode.window.createOutputChannel("layerlr");
  context.subscriptions.push(
    output,
    vscode.commands.registerCommand("layerlr.restart", () => restart(output)),
    vscode.commands.registerCommand("layerlr.preview", () => {
      const editor = vscode.window.activeTextEditor;
      if (editor && editor.document.languageId === LANGUAGE) return previews.show(editor.document);
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => restart(output)),
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration(LANGUAGE) && restart(output))
  );
  await restart(output);
}

async function deactivate() {
  const old = client;
  client = null;
  if (old) await old.stop();
}

module.exports = { activate, deactivate };
