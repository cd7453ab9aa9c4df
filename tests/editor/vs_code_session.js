// Drives a VS Code that runs in a browser, with the extension in it, and prints what a person would see as JSON.
"use strict";

const { chromium } = require("playwright-core");
const [, , address, file, browser] = process.argv;

async function main() {
  const started = await chromium.launch({ executablePath: browser, args: ["--no-sandbox"] });
  const page = await started.newPage({ viewport: { width: 1400, height: 850 }, colorScheme: "light" });
  const payload = JSON.stringify([["openFile", `vscode-remote://${new URL(address).host}${file}`]]);
  const folder = file.slice(0, file.lastIndexOf("/"));
  await page.goto(`${address}/?folder=${folder}&payload=${encodeURIComponent(payload)}`);
  const seen = {};
  const text = page.locator(".view-lines").first();
  await text.getByText("layers", { exact: true }).first().waitFor({ timeout: 120_000 });
  await page.locator(".squiggly-error").first().waitFor({ timeout: 120_000 });
  await page.getByText(/74.tensors/).first().waitFor({ timeout: 60_000 });

  const colour = (word) => text.getByText(word, { exact: true }).last().evaluate((node) => getComputedStyle(node).color);
  seen.colours = { selector: await colour("layers"), option: await colour("wd"), value: await colour("1") };

  const wrong = text.getByText("wd", { exact: true });
  await wrong.hover();
  seen.hover = await page.locator(".monaco-hover:visible").first().innerText();
  await wrong.click();
  await page.keyboard.press("Control+.");
  await page.getByText("Replace by `weight_decay`").first().waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".squiggly-error").first().waitFor({ state: "detached" });
  await page.keyboard.press("Control+s");

  await page.keyboard.press("Control+k");
  await page.keyboard.press("v");
  const picture = page.frameLocator("iframe.webview").frameLocator("iframe#active-frame");
  await picture.locator("#rules button").first().waitFor({ timeout: 120_000 });
  seen.title = await picture.locator("#title").innerText();
  seen.paper = await picture.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);

  await picture.locator("#rules button").first().click();
  await page.locator(".active-line-number", { hasText: "2" }).waitFor();
  await page.locator(".editor-group-container .view-lines").first().click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText("** -> lr");
  await page.keyboard.press("Control+s");
  await picture.locator("#findings").getByText("LR005").waitFor({ timeout: 60_000 });
  seen.broken = await picture.locator("#findings").innerText();
  seen.kept = await picture.locator("#title").innerText();
  process.stdout.write(JSON.stringify(seen));
  await started.close();
}

main().catch((fault) => {
  process.stderr.write(`${fault.stack}\n`);
  process.exit(1);
});
