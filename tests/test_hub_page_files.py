"""The page's files, read without a browser: what they may hold, how large they are, and whose they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import perfagent.hub

WEB = Path(perfagent.hub.__file__).parent / "web"
OURS = sorted(
    path for path in WEB.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg") and "vendor" not in path.parts
)
MODULES = [path for path in OURS if path.suffix == ".js"]


def test_every_library_stands_beside_its_licence() -> None:
    licences = {"preact.js": "preact", "hooks.js": "preact", "htm.js": "htm", "uplot.js": "uplot", "uplot.css": "uplot"}
    licences["web-vitals.js"] = "web-vitals"
    told = (WEB / "vendor/README.md").read_text()
    for file in (WEB / "vendor").iterdir():
        if file.suffix in (".js", ".css"):
            assert len((WEB / f"vendor/{licences[file.name]}.LICENSE").read_text()) > 500
            assert f"`{file.name}`" in told


def test_the_index_holds_no_script_and_no_style_of_its_own() -> None:
    text = (WEB / "index.html").read_text()
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert (WEB / address).is_file(), address


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(WEB).as_posix())
def test_a_module_imports_what_there_is_by_relative_paths_and_writes_no_markup(module: Path) -> None:
    text = module.read_text()
    for address in re.findall(r"""(?:^(?:import|export) [^;']*from |import\()'([^']+)'""", text, re.MULTILINE):
        assert address.startswith("."), "an absolute address would be fetched twice: pages are served under a hash"
        assert (module.parent / address).is_file(), address
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert text.startswith(("/** ", "// ")), "a module begins with what it is for"


def test_the_page_stays_small() -> None:
    sizes = {path: path.stat().st_size for path in OURS}
    print(f"{len(OURS)} files of ours, {sum(sizes.values()):,} bytes")
    assert sum(sizes.values()) < 420_000
    assert max(sizes.values()) < 30_000
