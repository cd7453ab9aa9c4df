// Colours for cells that begin with `%%layerlr`, in JupyterLab 4 and Notebook 7.
//
// Written by hand and shipped as it stands: JupyterLab loads this script, finds the container at the end, and asks it
// for "./extension". CodeMirror is JupyterLab's own, taken from what it shares.
"use strict";

(() => {
  // What follows, up to "end of tables", is written by `python -m layerlr_dsl.editor.colours` from the Pygments lexer.
  // RULES: [expression, the kind of token or those of its groups, the states that are left ("#pop") and entered].
  // STATES: what is tried in each, by its place in RULES. STYLES: by kind of token.
  const RULES = [
    ["[ \\t\\r\\f\\ufeff]+","Text.Whitespace",[]],
    ["\\\\[ \\t\\r]*\\n","Text.Whitespace",[]],
    ["#[^\\n]*","Comment.Single",[]],
    ["[\\n;]","Punctuation",[]],
    ["(let)([ \\t]+)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)([ \\t]*)(=)",["Keyword.Declaration","Text.Whitespace","Name.Constant","Text.Whitespace","Operator"],["value"]],
    ["(group)([ \\t]+)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)([ \\t]*)(=)",["Keyword.Declaration","Text.Whitespace","Name.Label","Text.Whitespace","Operator"],["selector"]],
    ["(optimizer)([ \\t]+)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)([ \\t]*)(=)([ \\t]*)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)",["Keyword","Text.Whitespace","Name.Label","Text.Whitespace","Operator","Text.Whitespace","Name.Class"],["value"]],
    ["(optimizer|schedule)([ \\t]+)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)(?=[ \\t]*(?:[(\\n;#=]|(?![^\\n])|(?:for|then)(?![\\p{L}\\p{N}_])))",["Keyword","Text.Whitespace","Name.Class"],["schedule"]],
    ["(stage)([ \\t]+)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)(?=[ \\t]*(?:[\\n;#,]|(?![^\\n])|(?:for|until)(?![\\p{L}\\p{N}_])))",["Keyword.Declaration","Text.Whitespace","Name.Namespace"],["heading"]],
    ["after[ \\t]+stages(?=[ \\t]*(?:[\\n;#]|(?![^\\n])))","Keyword.Declaration",["heading"]],
    ["(freeze)([ \\t]+)(statistics)([ \\t]+)(of)(?=[ \\t])",["Keyword","Text.Whitespace","Keyword","Text.Whitespace","Keyword"],["selector"]],
    ["(?:version|epochs|steps|steps_per_epoch)(?=[ \\t]+[\\p{L}\\p{N}_(.])","Keyword",["value"]],
    ["(?:model|include)(?=[ \\t]+\")","Keyword.Namespace",["value"]],
    ["(?:freeze|unfreeze|expect)(?=[ \\t]+[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\-,;])","Keyword",["selector"]],
    ["",[],["selector"]],
    ["(,)([ \\t\\r]*)(#[^\\n]*)?(\\n)(?=[ \\t]+[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000#])",["Punctuation","Text.Whitespace","Comment.Single","Text.Whitespace"],[]],
    ["[\\n;]","Punctuation",["#pop"]],
    ["->","Operator",["#pop","settings"]],
    ["(then)([ \\t\\r]*)(#[^\\n]*)?(\\n)(?=[ \\t]+[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000#])",["Operator.Word","Text.Whitespace","Comment.Single","Text.Whitespace"],[]],
    ["(?:except|then)(?![\\p{L}\\p{N}_.*?\\[{<])","Operator.Word",[]],
    ["where(?![\\p{L}\\p{N}_.*?\\[{<])","Operator.Word",["#pop","value"]],
    ["(a(?:scending|t)|by|descending|every|f(?:alling|or|ro(?:m|zen))|rising|st(?:a(?:rting|tistics)|ops)|t(?:hen|rains)|u(?:ntil|pdating)|warmup)(?![\\p{L}\\p{N}_])(?=[ \\t\\n;#]|(?![^\\n]))","Keyword",["#pop","value"]],
    ["[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*(?=[ \\t]*(?:[=!<>]=|[<>][ \\t]))","Name.Attribute",[]],
    ["[=!<>]=","Operator",["#pop","value"]],
    ["[<>](?=[ \\t])","Operator",["#pop","value"]],
    ["\"[^\"\\\\\\n]*(?:\\\\[^\\n][^\"\\\\\\n]*)*\"","Literal.String.Double",[]],
    ["/(?:[^/\\\\\\n]|\\\\[^\\n])[^/\\\\\\n]*(?:\\\\[^\\n][^/\\\\\\n]*)*/","Literal.String.Regex",[]],
    ["@[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*","Name.Label",[]],
    ["(?:[\\p{L}\\p{N}_.*?\\]}]+|-(?!>)|\\[!?\\]?[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\]]*\\]?|\\{[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000{}]*\\}?|<[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000<>]*>?)+","Name.Tag",[]],
    [",","Punctuation",[]],
    ["[^\\n]","Text",[]],
    ["(optimizer|schedule)([ \\t]+)([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)",["Name.Attribute","Text.Whitespace","Name.Class"],["#pop","schedule"]],
    ["[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*","Name.Attribute",["#pop","value"]],
    ["\"[^\"\\\\\\n]*(?:\\\\[^\\n][^\"\\\\\\n]*)*\"","Name.Attribute",["#pop","value"]],
    ["",[],["#pop","value"]],
    ["(,)([ \\t\\r]*)(#[^\\n]*)?(\\n)(?=[ \\t]+[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000#])",["Punctuation","Text.Whitespace","Comment.Single","Text.Whitespace"],["#pop","settings"]],
    [",","Punctuation",["#pop","settings"]],
    ["\\(","Punctuation",["parentheses"]],
    ["(matches)([ \\t]*)(/(?:[^/\\\\\\n]|\\\\[^\\n])[^/\\\\\\n]*(?:\\\\[^\\n][^/\\\\\\n]*)*/)",["Operator.Word","Text.Whitespace","Literal.String.Regex"],[]],
    ["\\*=|[=!<>]=|[-+*/^<>=%\\[\\]]","Operator",[]],
    ["\\.?\\p{Nd}[\\p{L}\\p{N}_.]*(?:(?<=[eE])[+-][\\p{L}\\p{N}_.]*)*%?","Literal.Number",[]],
    ["(and|is|m(?:atches|od)|not|or)(?![\\p{L}\\p{N}_])","Operator.Word",[]],
    ["(a(?:scending|t)|by|descending|every|f(?:alling|or|ro(?:m|zen))|rising|st(?:a(?:rting|tistics)|ops)|t(?:hen|rains)|u(?:ntil|pdating)|warmup)(?![\\p{L}\\p{N}_])","Keyword",[]],
    ["((?:fals|tru)e)(?![\\p{L}\\p{N}_])","Keyword.Constant",[]],
    ["(epoch(?:(?:s)?)|step(?:(?:s)?))(?![\\p{L}\\p{N}_])","Keyword.Type",[]],
    ["(c(?:eil|ount)|f(?:irst|loor)|l(?:ast|og2)|m(?:ax|in)|rank|sqrt)(?=[ \\t]*\\()","Name.Function",[]],
    ["(d(?:epth|type)|index|module|n(?:ame|dim|umel)|path|shape|tied)(?![\\p{L}\\p{N}_])","Name.Builtin",[]],
    ["(attention|b(?:float16|ool)|co(?:mplex(?:128|64)|nv)|depthwise|embedding|float(?:16|32|64|8_e(?:4m3fn|5m2))|int(?:16|32|64|8)|linear|norm|uint8)(?![\\p{L}\\p{N}_])","Name.Builtin.Pseudo",[]],
    ["@[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*(?:\\.[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)?","Name.Label",[]],
    ["[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*","Name.Variable",[]],
    ["(then)([ \\t\\r]*)(#[^\\n]*)?(\\n)(?=[ \\t]+[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000#])",["Operator.Word","Text.Whitespace","Comment.Single","Text.Whitespace"],["next schedule"]],
    ["then(?![\\p{L}\\p{N}_])","Operator.Word",["next schedule"]],
    ["[\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*","Name.Class",["#pop"]],
    ["",[],["#pop"]],
    ["(,)([ \\t]*)(fresh)([ \\t]+)(optimizer)(?![\\p{L}\\p{N}_])",["Punctuation","Text.Whitespace","Keyword","Text.Whitespace","Keyword"],[]],
    ["\\n","Text.Whitespace",[]],
    ["\\)","Punctuation",["#pop"]],
    ["([\\p{L}\\p{Nl}\\p{No}_][\\p{L}\\p{N}_]*)([ \\t]*)(=)(?!=)",["Name.Attribute","Text.Whitespace","Operator"],[]],
    ["->|;","Punctuation",["#pop"]],
  ];
  const STATES = {
    "root": [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14],
    "blank": [0,1,2],
    "selector": [0,1,2,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30],
    "settings": [0,1,2,31,32,33,34],
    "value": [0,1,2,35,36,16,37,25,38,17,39,40,41,42,43,44,45,46,47,48,49,30],
    "expression": [37,25,38,17,39,40,41,42,43,44,45,46,47,48,49,30],
    "schedule": [0,1,2,50,51,0,1,2,35,36,16,37,25,38,17,39,40,41,42,43,44,45,46,47,48,49,30],
    "next schedule": [0,1,2,52,53],
    "heading": [0,1,2,54,16,37,25,38,17,39,40,41,42,43,44,45,46,47,48,49,30],
    "parentheses": [0,1,2,55,56,57,29,58,37,25,38,17,39,40,41,42,43,44,45,46,47,48,49,30],
  };
  const STYLES = {
    "Comment.Single": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-comment-color,#6e7781);font-style:italic",
    "Error": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Keyword": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "Keyword.Constant": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "Keyword.Declaration": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "Keyword.Namespace": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "Keyword.Type": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "Literal.Number": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-number-color,#0a7d7d)",
    "Literal.String.Double": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-number-color,#0a7d7d)",
    "Literal.String.Regex": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-number-color,#0a7d7d)",
    "Name.Attribute": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-string-color,#bf5700)",
    "Name.Builtin": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Name.Builtin.Pseudo": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Name.Class": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-variable-2-color,#1a7f37)",
    "Name.Constant": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Name.Function": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-variable-2-color,#1a7f37)",
    "Name.Label": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Name.Namespace": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Name.Tag": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-def-color,#0969da)",
    "Name.Variable": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Operator": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-operator-color,#8250df)",
    "Operator.Word": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal;color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "Punctuation": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Text": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
    "Text.Whitespace": "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal",
  };
  // end of tables

  const MAGIC = /^\s*%%layerlr(?!\S)[^\n]*(?:\n|$)/;
  const LONGEST = 100_000; // characters; more than that no one writes into a cell, and typing stays quick

  const compiled = RULES.map(([pattern, kinds, next]) => {
    const grouped = typeof kinds !== "string"; // only then are the places of groups asked for: they are slow
    return { expression: new RegExp(pattern, grouped ? "uyd" : "uy"), kinds, grouped, next };
  });

  // The tokens of a rule text as [kind, start, end], by the machine that Pygments' RegexLexer is.
  function tokens(text) {
    const found = [];
    let states = ["root"];
    let at = 0;
    while (at < text.length) {
      const [rule, match] = firstMatch(states.at(-1), text, at);
      if (rule === null) {
        const [kind, end] = unknown(text, at);
        if (text[at] === "\n") states = ["root"];
        found.push([kind, at, end]);
        at = end;
      } else {
        const end = at + match[0].length;
        if (rule.grouped) found.push(...parts(rule.kinds, match));
        else found.push([rule.kinds, at, end]);
        at = end;
        states = after(states, rule.next);
      }
    }
    return found;
  }

  function firstMatch(state, text, at) {
    for (const number of STATES[state]) {
      const rule = compiled[number];
      rule.expression.lastIndex = at;
      const match = rule.expression.exec(text);
      if (match !== null) return [rule, match];
    }
    return [null, null];
  }

  function unknown(text, at) {
    if (text[at] === "\n") return ["Text.Whitespace", at + 1];
    return ["Error", at + (text.codePointAt(at) > 0xffff ? 2 : 1)];
  }

  function parts(kinds, { indices }) {
    const groups = kinds.map((kind, number) => [kind, indices[number + 1]]);
    return groups.filter(([, place]) => place && place[1] > place[0]).map(([kind, place]) => [kind, ...place]);
  }

  function after(states, next) {
    if (next.length === 0) return states;
    const then = [...states];
    for (const one of next) {
      if (one !== "#pop") then.push(one);
      else if (then.length > 1) then.pop();
    }
    return then;
  }

  // Where the rules of a cell begin, or -1 in a cell of another kind.
  function beginning(text) {
    const found = MAGIC.exec(text);
    return found === null ? -1 : found[0].length;
  }

  function editorExtension({ ViewPlugin, Decoration }, { Prec }) {
    const marks = Object.fromEntries(
      Object.entries(STYLES).map(([kind, style]) => [kind, Decoration.mark({ class: "layerlr", attributes: { style } })]),
    );

    function decorated(doc) {
      if (doc.length > LONGEST) return Decoration.none;
      const text = doc.toString();
      const start = beginning(text);
      if (start < 0) return Decoration.none;
      const found = tokens(text.slice(start));
      return Decoration.set(found.map(([kind, from, to]) => marks[kind].range(start + from, start + to)));
    }

    const plugin = ViewPlugin.fromClass(
      class {
        constructor(view) {
          this.decorations = decorated(view.state.doc);
        }
        update(update) {
          if (update.docChanged) this.decorations = decorated(update.state.doc);
        }
      },
      { decorations: (value) => value.decorations },
    );
    // Inside of what the front end marks as Python, so that these are the colours that are seen.
    return Prec.highest(plugin);
  }

  // ---------------------------------------------------------------- JupyterLab

  let shared = null;

  // The module that all of JupyterLab uses: the one that is loaded, or the newest.
  async function module(name) {
    const versions = Object.entries(shared[name] ?? {});
    if (versions.length === 0) throw new Error(`layerlr: this JupyterLab does not share ${name}`);
    versions.sort(([one, a], [two, b]) => Boolean(b.loaded) - Boolean(a.loaded) || newer(two, one));
    return (await versions[0][1].get())();
  }

  const newer = (one, two) => one.localeCompare(two, undefined, { numeric: true });

  async function extension() {
    const names = ["@jupyterlab/codemirror", "@codemirror/view", "@codemirror/state"];
    const [lab, view, state] = await Promise.all(names.map(module));
    const made = lab.EditorExtensionRegistry.createImmutableExtension(editorExtension(view, state));
    return {
      id: "layerlr:colours",
      description: "Colours for the rules of %%layerlr cells.",
      autoStart: true,
      requires: [lab.IEditorExtensionRegistry],
      activate: (app, registry) => registry.addExtension({ name: "layerlr", factory: () => made }),
    };
  }

  const container = {
    init: (scope) => {
      shared = scope;
    },
    get: async (name) => {
      if (name !== "./extension") throw new Error(`layerlr: there is no ${name}`);
      const plugin = await extension();
      return () => ({ __esModule: true, default: plugin });
    },
    tokens,
    beginning,
  };
  (globalThis._JUPYTERLAB ??= {}).layerlr = container;
})();
