// Runs the extension in Node against a stand-in for the editor's interfaces, and prints what it did as JSON.
"use strict";

const children = require("child_process");
const Module = require("module");
const path = require("path");
const [, , folder, extension, ...command] = process.argv;

class Position {
  constructor(line, character) {
    Object.assign(this, { line, character });
  }
}
class Range {
  constructor(start, end) {
    Object.assign(this, { start, end });
  }
  toJSON() {
    return [this.start, this.end];
  }
}
class Uri {
  constructor(text) {
    this.text = text;
    this.scheme = text.split(":")[0];
    this.fsPath = this.path = text.replace("file://", "");
  }
  toString() {
    return this.text;
  }
  static parse(text) {
    return new Uri(text);
  }
}
const record = (...names) =>
  class {
    constructor(...values) {
      names.forEach((name, n) => (this[name] = values[n]));
    }
  };
class EventEmitter {
  constructor() {
    this.listeners = [];
    this.event = (react) => {
      this.listeners.push(react);
      return { dispose() {} };
    };
  }
  fire(value) {
    for (const react of this.listeners) react(value);
  }
  dispose() {}
}
class CodeActionKind {
  constructor(value) {
    this.value = value;
  }
  append(more) {
    return new CodeActionKind(this.value ? `${this.value}.${more}` : more);
  }
}
CodeActionKind.Empty = new CodeActionKind("");
class WorkspaceEdit {
  constructor() {
    this.edits = [];
  }
  replace(uri, range, text) {
    this.edits.push({ uri: String(uri), range, text });
  }
}

const providers = {};
const commands = {};
const panels = [];
const warnings = [];
const status = { dispose() {} };
const events = { open: new EventEmitter(), close: new EventEmitter(), change: new EventEmitter(), save: new EventEmitter(), settings: new EventEmitter() };
let published = null;
const arrived = new EventEmitter();
const nothing = { dispose() {} };
const servers = [];
const spawn = children.spawn;
children.spawn = (...asked) => servers[servers.push(spawn(...asked)) - 1];
const settings = { command, root: "", epochs: null, stepsPerEpoch: null };
const file = Uri.parse(`file://${path.join(folder, "a.lr")}`);
const document = { uri: file, languageId: "layerlr", version: 1, getText: () => document.text };
document.text = 'model "m.json"\n** -> lr 1\nlayers -> wd 1\n';

const vscode = {
  Position,
  Range,
  Uri,
  EventEmitter,
  CodeActionKind,
  WorkspaceEdit,
  Location: record("uri", "range"),
  Diagnostic: record("range", "message", "severity"),
  DiagnosticRelatedInformation: record("location", "message"),
  CompletionItem: record("label", "kind"),
  CompletionList: record("items", "isIncomplete"),
  DocumentSymbol: record("name", "detail", "kind", "range", "selectionRange"),
  CodeAction: record("title", "kind"),
  InlayHint: record("position", "label"),
  MarkdownString: record("value"),
  Hover: record("contents", "range"),
  TextEdit: record("range", "newText"),
  SemanticTokens: record("data"),
  SemanticTokensLegend: record("tokenTypes", "tokenModifiers"),
  LanguageStatusSeverity: { Information: 0, Warning: 1, Error: 2 },
  ProgressLocation: { Window: 10 },
  commands: {
    registerCommand: (name, run) => {
      commands[name] = run;
      return nothing;
    },
  },
  ViewColumn: { Beside: -2 },
  window: {
    get activeTextEditor() {
      return { document };
    },
    createWebviewPanel: (kind, title, place, options) => {
      const panel = { title, place, options, messages: [], revealed: 0, onDidDispose: (react) => (panel.close = react) };
      panel.reveal = () => (panel.revealed += 1);
      panel.webview = {
        onDidReceiveMessage: () => nothing,
        html: "",
        postMessage: (news) => {
          panel.messages.push(news);
          arrived.fire(published);
        },
      };
      panels.push(panel);
      return panel;
    },
    createOutputChannel: () => ({ append() {}, appendLine() {}, dispose() {} }),
    showWarningMessage: async (text, ...answers) => void warnings.push([text, answers]),
    registerWebviewPanelSerializer: () => nothing,
    withProgress: (shown, run) => run(),
  },
  workspace: {
    isTrusted: true,
    workspaceFolders: [{ uri: Uri.parse(`file://${folder}`) }],
    textDocuments: [document],
    getConfiguration: () => ({ get: (name) => settings[name] }),
    onDidOpenTextDocument: events.open.event,
    onDidCloseTextDocument: events.close.event,
    onDidChangeTextDocument: events.change.event,
    onDidSaveTextDocument: events.save.event,
    onDidGrantWorkspaceTrust: () => nothing,
    onDidChangeConfiguration: events.settings.event,
    onDidRenameFiles: () => nothing,
    createFileSystemWatcher: () => ({
      onDidChange: () => nothing,
      onDidCreate: () => nothing,
      onDidDelete: () => nothing,
      ...nothing,
    }),
  },
  languages: new Proxy(
    {
      createLanguageStatusItem: () => status,
      createDiagnosticCollection: () => ({
        set(uri, found) {
          published = found;
          arrived.fire(found);
        },
        dispose() {},
      }),
    },
    {
      get: (own, name) =>
        own[name] ||
        ((language, provider) => {
          providers[name] = provider;
          return nothing;
        }),
    }
  ),
};

const load = Module._load;
Module._load = (request, ...rest) => (request === "vscode" ? vscode : load(request, ...rest));

const waitFor = (wanted) =>
  new Promise((resolve) => {
    if (published && wanted(published)) return resolve(published);
    arrived.event((found) => wanted(found) && resolve(found));
  });

// Opens the picture, breaks the file and mends it; what the page was told each time.
async function preview() {
  await commands["layerlr.preview"]();
  const [panel] = panels;
  const first = { title: panel.title, scripts: panel.webview.options.enableScripts, html: panel.webview.html };
  const save = async (text) => {
    const all = new Range(new Position(0, 0), new Position(99, 0));
    document.text = text;
    document.version += 1;
    events.change.fire({ document, contentChanges: [{ range: all, text }] });
    const count = panel.messages.length;
    events.save.fire(document);
    await waitFor(() => panel.messages.length > count);
    const { found, stale, drawing } = panel.messages[count];
    return { found: found.map((one) => one.code), stale, drawn: Boolean(drawing) };
  };
  const broken = await save('model "m.json"\nepochs 3\n** -> lr\n');
  const mended = await save('model "m.json"\nepochs 3\n** -> lr 1\n');
  await commands["layerlr.preview"]();
  panel.close();
  return { first, broken, mended, panels: panels.length, revealed: panel.revealed };
}

const until = async (holds) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
};

// Ends the server, takes its command away and takes the trust away; what a person sees of each.
async function troubles() {
  const change = async (severity, detail) => {
    events.settings.fire({ affectsConfiguration: () => true });
    await until(() => status.severity === severity && status.detail.includes(detail));
  };
  servers[0].kill("SIGKILL");
  await until(() => servers.length === 2 && status.text === "layerlr: running");
  const restarted = warnings.length === 0;
  settings.command = ["no-such-layerlr", "lsp"];
  await change(2, "no-such-layerlr");
  await commands["layerlr.preview"]();
  const missing = panels[panels.length - 1].webview.html;
  vscode.workspace.isTrusted = false;
  await change(1, "trusted");
  return { restarted, warnings, missing };
}

async function main() {
  const { activate, deactivate } = require(path.join(extension, "extension.js"));
  await activate({ subscriptions: [] });
  const said = {};
  const has = (code) => (found) => found.some((d) => d.code === code);
  said.findings = (await waitFor(has("LR103"))).map((d) => [d.code, d.severity, d.range.start.line]);
  const actions = await providers.registerCodeActionsProvider.provideCodeActions(
    document, new Range(new Position(2, 10), new Position(2, 12)), {});
  said.actions = actions.map((a) => [a.title, a.kind.value, a.edit.edits[0].text]);
  document.text = document.text.replace("wd", "lr").replace("lr 1\n", "lr 2\n");
  document.version = 2;
  const range = new Range(new Position(2, 10), new Position(2, 12));
  events.change.fire({ document, contentChanges: [{ range, text: "lr" }] });
  await waitFor((found) => !has("LR103")(found));
  await waitFor(has("LR203"));
  const at = new Position(2, 2);
  said.hover = (await providers.registerHoverProvider.provideHover(document, at)).contents.value;
  const list = await providers.registerCompletionItemProvider.provideCompletionItems(document, new Position(2, 10));
  said.completion = list.items.map((item) => item.label);
  const whole = new Range(new Position(0, 0), new Position(9, 0));
  said.hints = (await providers.registerInlayHintsProvider.provideInlayHints(document, whole)).map((h) => h.label);
  said.symbols = (await providers.registerDocumentSymbolProvider.provideDocumentSymbols(document)).map((s) => s.name);
  said.format = (await providers.registerDocumentFormattingEditProvider.provideDocumentFormattingEdits(document, { tabSize: 4, insertSpaces: true }))[0].newText;
  said.tokens = (await providers.registerDocumentSemanticTokensProvider.provideDocumentSemanticTokens(document)).data.length;
  said.preview = await preview();
  said.troubles = await troubles();
  await deactivate();
  // What is left in a pipe is lost when the process exits.
  await new Promise((resolve) => process.stdout.write(JSON.stringify(said), resolve));
}

main().then(
  () => process.exit(0),
  (fault) => {
    process.stderr.write(`${fault.stack}\n`);
    process.exit(1);
  }
);
