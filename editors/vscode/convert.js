// From the protocol's data to what VS Code's own interfaces take.
"use strict";

module.exports = (vscode) => {
  const position = (p) => new vscode.Position(p.line, p.character);
  const range = (r) => new vscode.Range(position(r.start), position(r.end));
  // VS Code's own ranges turn into pairs as JSON.
  const plain = (r) => ({
    start: { line: r.start.line, character: r.start.character },
    end: { line: r.end.line, character: r.end.character },
  });
  const location = (l) => new vscode.Location(vscode.Uri.parse(l.uri), range(l.range));

  const diagnostic = (d) => {
    const made = new vscode.Diagnostic(range(d.range), d.message, d.severity - 1);
    made.code = d.code;
    made.source = d.source;
    made.tags = d.tags;
    made.relatedInformation = (d.relatedInformation || []).map(
      (r) => new vscode.DiagnosticRelatedInformation(location(r.location), r.message)
    );
    return made;
  };

  const completionItem = (item) => {
    const made = new vscode.CompletionItem(item.label, item.kind - 1);
    made.detail = item.detail;
    made.sortText = item.sortText;
    made.filterText = item.filterText;
    made.insertText = item.textEdit.newText;
    made.range = range(item.textEdit.range);
    return made;
  };

  const symbol = (s) =>
    new vscode.DocumentSymbol(s.name, s.detail || "", s.kind - 1, range(s.range), range(s.selectionRange));

  const workspaceEdit = (edit) => {
    const made = new vscode.WorkspaceEdit();
    for (const [uri, edits] of Object.entries(edit.changes || {})) {
      for (const e of edits) made.replace(vscode.Uri.parse(uri), range(e.range), e.newText);
    }
    return made;
  };

  const codeAction = (action) => {
    const kind = vscode.CodeActionKind.Empty.append(action.kind);
    const made = new vscode.CodeAction(action.title, kind);
    made.edit = workspaceEdit(action.edit);
    made.isPreferred = action.isPreferred;
    return made;
  };

  const inlayHint = (hint) => {
    const made = new vscode.InlayHint(position(hint.position), hint.label);
    made.paddingLeft = hint.paddingLeft;
    return made;
  };

  const tokens = (t) => new vscode.SemanticTokens(new Uint32Array(t.data));
  const hover = (h) => new vscode.Hover(new vscode.MarkdownString(h.contents.value), h.range && range(h.range));
  const textEdit = (e) => new vscode.TextEdit(range(e.range), e.newText);

  return {
    position,
    range,
    plain,
    location,
    diagnostic,
    completionItem,
    symbol,
    workspaceEdit,
    codeAction,
    inlayHint,
    tokens,
    hover,
    textEdit,
  };
};
