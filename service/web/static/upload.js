// Folders or a zip, dragged or chosen, sent as one data set. What broke off is sent again under the same key, so that
// however often it is tried there is one data set in the end.
import { fitInZip, zipOf } from "./packing.js";

const form = document.getElementById("upload");
const part = (id) => document.getElementById(id);
const MEGABYTE = 1024 * 1024;
const IN_USE_PAUSES_MS = [1000, 2000, 4000, 8000, 16000, 32000];

let chosen = null;
let request = null;
let isGoing = false;
let attempt = 0; // counts what a person begins, so that what was stopped does not go on

function show(...names) {
  for (const name of ["zone", "chosen", "sending", "outcome"]) part(name).hidden = !names.includes(name);
}

// ---------------------------------------------------------------------------------------------------- what is chosen

function isHidden(path) {
  return path.split("/").some((name) => name.startsWith(".") || name === "Thumbs.db" || name === "__MACOSX");
}

async function filesBelow(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) { // A reader gives some entries at a time, and none at the end.
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return found;
    for (const one of some) found.push(...await filesBelow(one));
  }
}

function isZip(files) {
  return files.length === 1 && /\.zip$/i.test(files[0].path);
}

function choose(files) {
  const kept = files.filter(({ path }) => !isHidden(path));
  const bytes = kept.reduce((sum, { file }) => sum + file.size, 0);
  if (!kept.length) return refuse("There are no files in it.", "Choose a folder that holds a folder of images for each class.");
  if (bytes > Number(form.dataset.maxBytes)) {
    return refuse(
      `These are ${Math.ceil(bytes / MEGABYTE)} MB, and ${Math.floor(form.dataset.maxBytes / MEGABYTE)} MB are allowed at once.`,
      "Choose fewer images, or ask the operator to raise DEFECTSYNTH_MAX_REQUEST_BYTES.",
    );
  }
  if (!isZip(kept) && !fitInZip(kept)) {
    return refuse(
      `These are ${kept.length} files of ${Math.ceil(bytes / MEGABYTE)} MB: more than a browser packs into one zip, which is 65,535 files and 4 GiB.`,
      "Make several data sets, or pack them with another program and choose that zip.",
    );
  }
  const top = kept[0].path.split("/")[0];
  const tops = new Set(kept.map(({ path }) => path.split("/")[0]));
  chosen = { files: kept, keys: new Map() };
  const size = bytes < MEGABYTE ? `${Math.ceil(bytes / 1024)} kB` : `${(bytes / MEGABYTE).toFixed(1)} MB`;
  part("what").textContent = isZip(kept) ? `${kept[0].path}, ${size}` : `${kept.length} files, ${size}`;
  part("name").value = isZip(kept) ? top.replace(/\.zip$/i, "") : tops.size === 1 ? top : "";
  show("chosen");
  part("name").focus();
  return undefined;
}

// The same files under the same name are one upload, however often they are sent; under another name another one.
function keyOf(name) {
  if (!chosen.keys.has(name)) chosen.keys.set(name, newKey());
  return chosen.keys.get(name);
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// ---------------------------------------------------------------------------------------------------- sending

async function send() {
  const mine = ++attempt;
  isGoing = true;
  show("sending");
  part("stop").focus();
  const packing = (share) => { if (mine === attempt) told("Packing", share); };
  try {
    const { files } = chosen;
    chosen.archive ??= isZip(files) ? files[0].file : await zipOf(files, packing);
  } catch (error) {
    if (mine === attempt) fail("A file could not be read.", "It may have been moved or changed since it was chosen. Choose the folder again.");
    return;
  }
  if (mine === attempt) post(part("name").value.trim(), 0);
}

function post(name, tries) {
  const body = new FormData();
  body.append("name", name);
  body.append("archive", chosen.archive, "images.zip");
  request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("Idempotency-Key", keyOf(name));
  request.upload.onprogress = (event) => told("Uploading", event.lengthComputable ? event.loaded / event.total : 0);
  request.upload.onload = () => { told("Looking at each image", NaN); };
  request.onload = () => answered(request.status, request.responseText, name, tries);
  request.onerror = () => fail("The connection broke off.", "Nothing is lost: try again, and it is made once, however often it is sent.");
  request.send(body);
}

// An earlier try of the same upload, whose answer was lost or not waited for, is still being looked at.
function postLater(name, tries) {
  if (tries === IN_USE_PAUSES_MS.length) return fail("An earlier try of this upload is still being looked at.", "Try again in a minute: it is made once.");
  const mine = attempt;
  window.setTimeout(() => { if (mine === attempt) post(name, tries + 1); }, IN_USE_PAUSES_MS[tries]);
  return undefined;
}

function stop() {
  attempt += 1;
  isGoing = false;
  request?.abort();
  show("chosen");
  part("name").focus();
}

function told(what, share) {
  if (Number.isNaN(share)) part("bar").removeAttribute("value");
  else part("bar").value = share;
  const text = Number.isNaN(share) ? `${what} …` : `${what}: ${Math.floor(100 * share)} %`;
  if (part("told").textContent !== text) part("told").textContent = text;
}

// ---------------------------------------------------------------------------------------------------- what became of it

function answered(status, text, name, tries) {
  let body;
  try { body = JSON.parse(text); } catch { return fail("The service did not answer as it should.", "It may be restarting. Try again in a moment."); }
  if (status === 201) return accept(body);
  if (status === 401) return fail("You are signed out.", "Sign in again in a new tab (/login), then try again here.");
  if (body.code === "idempotency_key_in_use") return postLater(name, tries);
  fail(`${body.title}. ${body.detail}`, body.remedy ?? "");
  return refusals(body.refused ?? []);
}

function accept(receipt) {
  isGoing = false;
  if (!receipt.refused.length) { window.location.assign(`/datasets/${receipt.id}`); return; }
  show("outcome");
  part("failed").hidden = true;
  part("accepted").hidden = false;
  part("sum").textContent = `${receipt.accepted} images were accepted, ${receipt.refused.length} refused.`;
  part("open").href = `/datasets/${receipt.id}`;
  refusals(receipt.refused);
  warnings(receipt.warnings);
  part("outcome").focus();
}

function refusals(refused) {
  part("refused").hidden = !refused.length;
  part("refused-sum").textContent = `${refused.length} refused`;
  part("refused").querySelector("tbody").replaceChildren(...refused.map((one) => {
    const row = document.createElement("tr");
    for (const text of [one.filename, one.reason, one.remedy]) row.insertCell().textContent = text;
    return row;
  }));
}

function warnings(found) {
  part("warned").hidden = !found.length;
  part("warned").querySelector("ul").replaceChildren(...found.map((one) => {
    const line = document.createElement("li");
    line.textContent = one.class_name ? `${one.class_name}: ${one.message}` : one.message;
    return line;
  }));
}

function fail(why, remedy) {
  isGoing = false;
  show("outcome");
  part("accepted").hidden = true;
  part("refused").hidden = true;
  part("warned").hidden = true;
  part("failed").hidden = false;
  part("why").textContent = why;
  part("remedy").textContent = remedy;
  part("again").hidden = !chosen;
  part("outcome").focus();
}

function refuse(why, remedy) {
  chosen = null;
  fail(why, remedy);
}

function startOver() {
  chosen = null;
  part("folder").value = "";
  part("zip").value = "";
  show("zone");
}

// ---------------------------------------------------------------------------------------------------- what a person does

const zone = part("zone");
for (const name of ["dragenter", "dragover"]) {
  zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("over"));
// A file that misses the zone must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
zone.addEventListener("drop", async (event) => {
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  try {
    choose((await Promise.all(entries.map(filesBelow))).flat());
  } catch (error) {
    refuse("What was dragged here could not be read.", "Choose the folder instead.");
  }
});
part("folder").addEventListener("change", (event) => {
  choose([...event.target.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
});
part("zip").addEventListener("change", (event) => {
  choose([...event.target.files].map((file) => ({ path: file.name, file })));
});
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
part("again").addEventListener("click", send);
part("stop").addEventListener("click", stop);
part("drop-it").addEventListener("click", startOver);
part("other").addEventListener("click", startOver);
window.addEventListener("beforeunload", (event) => { if (isGoing) event.preventDefault(); });
