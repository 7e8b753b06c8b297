// The page: tabs, states, and what every tab needs to know of the server.

import { getJson, setToken } from "./api.js";
import { startImagine } from "./imagine.js";
import { startMap } from "./map.js";
import { startTranslate } from "./translate.js";
import { startView } from "./view.js";

const byId = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];
const started = {};
let facts = null;

export function say(text) {
  byId("state").textContent = text;
  byId("state").hidden = !text;
}

export function complain(text, again) {
  const box = byId("trouble");
  box.hidden = !text;
  box.querySelector("span").textContent = text || "";
  box.querySelector("button").hidden = !again;
  box.querySelector("button").onclick = again || null;
}

function show(name, focus = false) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) tab.focus();
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  const begin = { map: startMap, translate: startTranslate, imagine: startImagine, view: startView }[name];
  if (facts && begin && !started[name]) {
    started[name] = true;
    begin(facts, { say, complain, show });
  }
  dispatchEvent(new Event("resize"));
}

for (const [number, tab] of tabs.entries()) {
  tab.addEventListener("click", () => show(tab.id.slice(4)));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const target = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : step ? (number + step + tabs.length) % tabs.length : -1;
    if (target < 0) return;
    event.preventDefault();
    show(tabs[target].id.slice(4), true);
  });
}

async function load() {
  complain("");
  say("Loading …");
  try {
    facts = await getJson("layers.json");
  } catch (error) {
    say("");
    if (error.status === 401) {
      byId("token").hidden = false;
      byId("token").elements.token.focus();
      return;
    }
    complain(error.message, load);
    return;
  }
  byId("token").hidden = true;
  say("");
  const asked = location.hash.slice(1);
  const known = tabs.some((tab) => tab.id === `tab-${asked}`);
  show(known ? asked : facts.layers.length ? "map" : "translate");
}

byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(byId("token").elements.token.value.trim());
  load();
});

load();
