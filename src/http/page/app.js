// What the pages do beyond what they say without it: they follow what happens, the list
// of sites answers while one types, and text is copied by a button. Everything shown is
// made by the server; nothing here writes HTML.
"use strict";

(() => {
  // Longer than the pause between two moments, and than a connection's renewal.
  const SILENCE = 15000;
  // At most so often is the page fetched again when nothing in particular happened.
  const LEAST = 5000;

  const stale = document.getElementById("stale");
  const said = document.getElementById("said");
  let heard = Date.now();
  let fetched = Date.now();
  let fetching = false;
  let again = false;

  const stateOf = (row) => row.querySelector(".state")?.textContent.trim();
  const keyOf = (row) => row.querySelector("th a")?.getAttribute("href");

  function states(root) {
    const found = new Map();
    for (const row of root.querySelectorAll("#sites tbody tr")) {
      found.set(keyOf(row), stateOf(row));
    }
    return found;
  }

  // Shows the rows that have every word typed, of those the server sent.
  function narrow() {
    const search = document.getElementById("q");
    if (!search) return;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("#sites tbody tr")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  }

  function prepare() {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
    }
  }

  // Takes the new content, and leaves what the reader is at as it was.
  function take(page) {
    const before = states(document);
    const old = document.getElementById("content");
    const fresh = page.getElementById("content");
    if (!fresh) return;
    const search = document.getElementById("q");
    const typed = search && { value: search.value, start: search.selectionStart, end: search.selectionEnd };
    const focused = document.activeElement;
    const id = focused?.id;
    const href = focused?.getAttribute?.("href");
    const scrolled = [...old.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    old.replaceChildren(...fresh.childNodes);
    document.title = page.title;
    const now = document.getElementById("q");
    if (typed && now) {
      now.value = typed.value;
    }
    let target = id && document.getElementById(id);
    if (!target && href) {
      target = [...old.querySelectorAll("a")].find((link) => link.getAttribute("href") === href);
    }
    if (target && target !== old) {
      target.focus({ preventScroll: true });
      if (target === now && typed) now.setSelectionRange(typed.start, typed.end);
    }
    old.querySelectorAll(".scroll").forEach((box, place) => { box.scrollLeft = scrolled[place] ?? 0; });
    narrow();
    prepare();
    const changes = [];
    for (const row of document.querySelectorAll("#sites tbody tr")) {
      const was = before.get(keyOf(row));
      const is = stateOf(row);
      if (was && was !== is) {
        row.classList.add("changed");
        changes.push(`${row.querySelector("th").textContent}: ${is}`);
      }
    }
    if (changes.length) said.textContent = changes.slice(0, 5).join("; ");
  }

  async function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    fetched = Date.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok || answer.status === 404) {
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
    } catch { /* The silence will say so. */ }
    fetching = false;
    if (again) { again = false; refresh(); }
  }

  function hear() {
    heard = Date.now();
    stale.hidden = true;
  }

  const events = new EventSource("/api/v1/events");
  events.addEventListener("snapshot", () => {
    hear();
    if (Date.now() - fetched >= LEAST && !document.hidden) refresh();
  });
  for (const name of ["change", "gap"]) {
    events.addEventListener(name, () => { hear(); refresh(); });
  }

  setInterval(() => {
    const silence = Date.now() - heard;
    if (silence < SILENCE) return;
    stale.textContent = `✖ Nothing was heard from the gateway for ${Math.round(silence / 1000)} s: what you see is old.`;
    stale.hidden = false;
  }, 1000);

  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  document.addEventListener("input", (event) => { if (event.target.id === "q") narrow(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.getElementById("q");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy);
    text.select();
    try {
      // Only where the page came over TLS or from this very machine.
      await navigator.clipboard.writeText(text.value);
      said.textContent = "Copied.";
    } catch {
      said.textContent = document.execCommand("copy") ? "Copied." : "Press Ctrl+C to copy.";
    }
    button.textContent = said.textContent;
  });
  prepare();
})();
