// Keeps a language server running: which one, from when to when, and what a person is told where there is none.
"use strict";

const { existsSync } = require("fs");
const path = require("path");
const vscode = require("vscode");
const { Client, LANGUAGE } = require("./client");

const ENVIRONMENTS = [".venv", "venv", "env"];
const MOST_ENDS = 3;
const WITHIN = 180_000;
const UNTRUSTED = "this folder is not trusted, so the language server is off: trust it to see findings and pictures";

class Keeper {
  /** onSeen is told of each document that is opened or saved; onChange of a server that came or went. */
  constructor(output, onSeen, onChange) {
    Object.assign(this, { output, onSeen, onChange, client: null, why: "", ends: [] });
    this.turn = Promise.resolve();
    this.status = vscode.languages.createLanguageStatusItem("layerlr.server", LANGUAGE);
    this.status.name = "layerlr";
    this.status.command = { command: "layerlr.restart", title: "Restart" };
  }

  /** Ask the server, once it has started. Rejects with the reason why there is no answer. */
  async request(method, params) {
    await this.turn;
    if (!this.client) throw new Error(this.why);
    return this.client.connection.request(method, params);
  }

  /** Stop what runs and start anew; one after the other, however often it is asked for. */
  restart() {
    this.turn = this.turn.then(() => this.stop()).then(() => this.start());
    return this.turn;
  }

  async start() {
    if (!vscode.workspace.isTrusted) return this.down(UNTRUSTED, "Warning");
    const settings = vscode.workspace.getConfiguration(LANGUAGE);
    const folders = (vscode.workspace.workspaceFolders || []).filter((folder) => folder.uri.scheme === "file");
    const client = new Client(this.output, (why) => this.ended(client, why), this.onSeen);
    this.say("starting", "Information", true);
    try {
      const command = within(folders, settings.get("command"));
      this.running = command.join(" ");
      await client.start(command, folders[0], settings);
    } catch (fault) {
      await client.stop();
      return this.failed(fault.message);
    }
    if (client.connection.ended) return this.failed(this.why);
    this.client = client;
    this.say(this.running, "Information");
    this.onChange();
  }

  async stop() {
    const old = this.client;
    this.client = null;
    if (old) await old.stop();
  }

  /** A server that worked is gone: another one takes its place, unless that happens again and again. */
  ended(client, why) {
    this.why = why;
    if (this.client !== client) return;
    this.client = null;
    const now = Date.now();
    this.ends = [...this.ends.filter((at) => at > now - WITHIN), now];
    if (this.ends.length <= MOST_ENDS) return this.restart();
    this.failed(`${why}, for the ${this.ends.length}th time in ${WITHIN / 60_000} minutes`);
  }

  down(why, severity) {
    this.why = why;
    this.say(why, severity);
    this.onChange();
  }

  failed(why) {
    this.down(why, "Error");
    const answers = { "Open Settings": settings, "Show Log": () => this.output.show(), Restart: () => this.restart() };
    const help = 'It comes with pip install "layerlr-dsl[lsp]"; the setting layerlr.command says where it is.';
    vscode.window
      .showWarningMessage(`layerlr: ${why}. ${help}`, ...Object.keys(answers))
      .then((answer) => answer && answers[answer]());
  }

  say(what, severity, busy = false) {
    this.status.text = busy ? "layerlr: starting" : severity === "Information" ? "layerlr: running" : "layerlr: off";
    this.status.detail = what;
    this.status.severity = vscode.LanguageStatusSeverity[severity];
    this.status.busy = busy;
  }
}

const settings = () => vscode.commands.executeCommand("workbench.action.openSettings", "layerlr.command");

/** A plain name is looked for in the environments that lie in the folders, before the path. */
function within(folders, command) {
  if (!Array.isArray(command) || !command.length) {
    throw new Error('the setting layerlr.command has to be a list of words, as ["layerlr", "lsp"]');
  }
  const [name, ...rest] = command;
  if (name.includes("/") || name.includes("\\")) return command;
  const places = process.platform === "win32" ? ["Scripts", `${name}.exe`] : ["bin", name];
  for (const folder of folders) {
    for (const environment of ENVIRONMENTS) {
      const file = path.join(folder.uri.fsPath, environment, ...places);
      if (existsSync(file)) return [file, ...rest];
    }
  }
  return command;
}

module.exports = { Keeper };
