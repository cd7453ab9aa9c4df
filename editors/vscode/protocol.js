// JSON-RPC with a child process over standard input and output, framed as language servers frame it.
"use strict";

const { spawn } = require("child_process");

class Connection {
  /** handlers: notifications and requests of the server by method; onEnd is told why the server is gone. */
  constructor(command, folder, handlers, onEnd) {
    this.handlers = handlers;
    this.pending = new Map();
    this.nextId = 1;
    this.buffer = Buffer.alloc(0);
    this.ended = false;
    this.lastWords = "";
    const end = (why) => {
      if (this.ended) return;
      this.ended = true;
      for (const { reject } of this.pending.values()) reject(new Error(why));
      this.pending.clear();
      onEnd(why);
    };
    this.process = spawn(command[0], command.slice(1), { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
    this.process.on("error", (fault) =>
      end(fault.code === "ENOENT" ? `there is no \`${command[0]}\` to run` : `\`${command[0]}\` cannot be run: ${fault.message}`)
    );
    this.process.stderr.on("data", (text) => (this.lastWords = (this.lastWords + text).slice(-2000)));
    // What it said last comes a little later, on a stream of its own.
    this.process.on("exit", (status, signal) => setTimeout(() => end(this.farewell(status, signal)), 100));
    this.process.stdin.on("error", () => {});
    this.process.stdout.on("data", (data) => this.receive(data));
  }

  get log() {
    return this.process.stderr;
  }

  /** Why it is gone, with the last line that it said. */
  farewell(status, signal) {
    const said = this.lastWords.trim().split("\n").pop();
    return `the language server ended with ${signal || `status ${status}`}${said ? ` (${said})` : ""}`;
  }

  notify(method, params) {
    this.send({ jsonrpc: "2.0", method, params });
  }

  request(method, params, token) {
    if (this.ended) return Promise.reject(new Error("the language server is not running"));
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      if (token) token.onCancellationRequested(() => this.notify("$/cancelRequest", { id }));
      this.send({ jsonrpc: "2.0", id, method, params });
    });
  }

  send(message) {
    if (this.ended) return;
    const body = Buffer.from(JSON.stringify(message), "utf8");
    this.process.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
    this.process.stdin.write(body);
  }

  receive(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    for (;;) {
      const head = this.buffer.indexOf("\r\n\r\n");
      if (head < 0) return;
      const found = /content-length: *(\d+)/i.exec(this.buffer.toString("ascii", 0, head));
      const size = found ? Number(found[1]) : 0;
      if (this.buffer.length < head + 4 + size) return;
      const body = this.buffer.toString("utf8", head + 4, head + 4 + size);
      this.buffer = this.buffer.subarray(head + 4 + size);
      if (body) this.handle(JSON.parse(body));
    }
  }

  handle(message) {
    if (message.method === undefined) {
      const waiting = this.pending.get(message.id);
      this.pending.delete(message.id);
      if (!waiting) return;
      if (message.error) waiting.reject(new Error(message.error.message));
      else waiting.resolve(message.result);
      return;
    }
    const handler = this.handlers[message.method];
    const result = handler ? handler(message.params) : null;
    if (message.id !== undefined) this.send({ jsonrpc: "2.0", id: message.id, result: result ?? null });
  }

  async stop() {
    if (this.ended) return;
    const late = new Promise((resolve) => setTimeout(resolve, 2000));
    await Promise.race([this.request("shutdown", null).catch(() => {}), late]);
    this.notify("exit", null);
    await Promise.race([new Promise((resolve) => this.process.once("exit", resolve)), late]);
    if (!this.ended) this.process.kill();
  }
}

module.exports = { Connection };
