"""The web page's own files, without a browser: what its policy lets through, whose caches its worker deletes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.commands import ROOT

WEB = ROOT / "export/web"
# Caches of one origin, and a page of it that installs and activates its worker at a version.
TWO_PAGES = """
const fs = require("fs"), vm = require("vm"), store = new Map(), source = fs.readFileSync(process.argv[2], "utf8");
const cache = () => ({addAll: async () => {}, match: async () => undefined, put: async () => {}});
const caches = {keys: async () => [...store.keys()], delete: async (name) => store.delete(name),
  open: async (name) => store.has(name) ? store.get(name) : (store.set(name, cache()), store.get(name))};
async function visit(version, scope) {
  const handlers = {}, registration = {scope};
  const self = {registration, location: new URL(scope), clients: {claim: async () => {}}, skipWaiting: async () => {},
    addEventListener: (kind, handler) => { handlers[kind] = handler; }};
  const Request = class { constructor(url) { this.url = url; } };
  const fetch = async () => ({json: async () => ({files: []})});
  vm.runInContext(source.replace("@VERSION@", version), vm.createContext({self, caches, fetch, Request, URL}));
  for (const kind of ["install", "activate"]) {
    let done;
    handlers[kind]({waitUntil: (promise) => { done = promise; }});
    await done;
  }
}
(async () => {
  for (const [version, scope] of JSON.parse(process.argv[3])) await visit(version, scope);
  console.log(JSON.stringify([...store.keys()]));
})();
"""


def caches_after(tmp_path: Path, visits: list[tuple[str, str]]) -> list[str]:
    """The caches that are left when pages were opened: (version, address) of each."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = tmp_path / "two_pages.cjs"
    script.write_text(TWO_PAGES)
    command = [node, str(script), str(WEB / "worker.js"), json.dumps(visits)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_page_deletes_its_own_old_caches_only(tmp_path: Path) -> None:
    home = "http://localhost:8000/"
    pages = [f"{home}a/", f"{home}a/b/", f"{home}ab/", home]
    kept = caches_after(tmp_path, [("1", page) for page in pages])
    assert len(kept) == 4
    kept = caches_after(tmp_path, [*(("1", page) for page in pages), ("2", pages[0])])
    assert sorted(kept) == sorted(
        [f"edgegan {pages[0]} 2", *(f"edgegan {page} 1" for page in pages[1:])]
    )


def test_policy_names_the_import_map_and_no_other_inline_code() -> None:
    text = (WEB / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script(?: type=\"\w+\")?>(.+?)</script>", text, re.S)
    assert len(inline) == 1
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert len(policy) == 1
    rules = dict(rule.strip().split(" ", 1) for rule in policy[0].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == ["'self'", "'wasm-unsafe-eval'", f"'sha256-{digest}'"]
    assert not re.search(r" (style|on[a-z]+)=", text)
    assert not any("unsafe-inline" in rule or "*" in rule for rule in rules.values())
