// The extension: the colours work without it, the rest comes from `layerlr lsp`. No dependencies, so that the folder
// packs as it stands.
"use strict";

const vscode = require("vscode");
const { LANGUAGE } = require("./client");
const { Keeper } = require("./keeper");
const { Previews } = require("./preview")(vscode);

let keeper = null;

async function activate(context) {
  const output = vscode.window.createOutputChannel("layerlr");
  const previews = new Previews((method, params) => keeper.request(method, params));
  keeper = new Keeper(output, () => previews.renewAll(), () => previews.renewAll());
  context.subscriptions.push(
    output,
    keeper.status,
    vscode.commands.registerCommand("layerlr.restart", () => keeper.restart()),
    vscode.commands.registerCommand("layerlr.preview", () => {
      const editor = vscode.window.activeTextEditor;
      if (editor && editor.document.languageId === LANGUAGE) return previews.show(editor.document.uri);
    }),
    vscode.window.registerWebviewPanelSerializer("layerlr.preview", {
      deserializeWebviewPanel: (panel, state) => previews.restore(panel, state),
    }),
    vscode.workspace.onDidRenameFiles(({ files }) => previews.renamed(files)),
    vscode.workspace.onDidGrantWorkspaceTrust(() => keeper.restart()),
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration(LANGUAGE) && keeper.restart())
  );
  await keeper.restart();
}

async function deactivate() {
  if (keeper) await keeper.stop();
}

module.exports = { activate, deactivate };
