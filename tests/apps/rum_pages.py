"""The pages of the programs that are measured in the browser, and answers that must stay as they are."""

from __future__ import annotations

import gzip

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Items <head> of the shop</title>
<link rel="icon" href="data:,">
</head>
<body>
<h1>Item</h1>
<button id="work">Work</button> <button id="fail">Fail</button> <button id="upload">Upload</button>
<p id="moved">The text that moves</p>
<script NONCE>
document.getElementById('work').onclick = () => {
  const until = performance.now() + 120;
  while (performance.now() < until);
  document.getElementById('moved').style.marginTop = '200px';
};
document.getElementById('fail').onclick = () => { throw new Error('the secret of anna@example.com'); };
document.getElementById('upload').onclick = () => {
  const asked = new XMLHttpRequest();
  asked.open('POST', '/upload?token=secret');
  asked.onload = () => document.body.setAttribute('data-uploaded', asked.responseText);
  asked.send(new Blob([new Uint8Array(300000)]));
};
</script>
</body>
</html>
"""
FRAGMENT = "<header><!-- <head> --></header><p>a part of a page: <html></p>"
NONCE = "r4nd0mN0nce=="
BY_NONCE = f"default-src 'self'; script-src 'nonce-{NONCE}' 'strict-dynamic'; connect-src *; img-src data:; "
BY_NONCE += "style-src 'unsafe-inline'"
FORBIDS = f"default-src 'self'; script-src 'nonce-{NONCE}'; img-src data:"  # the hub may not be told
HTML = "text/html; charset=utf-8"

Answer = tuple[int, dict[str, str], bytes]
_plain = PAGE.replace(" NONCE", "").encode()
_with_nonce = PAGE.replace("NONCE", f'nonce="{NONCE}"').encode()
ANSWERS: dict[str, Answer] = {
    "/items": (200, {"content-type": HTML, "etag": '"abc"', "accept-ranges": "bytes"}, _plain),
    "/nonce": (200, {"content-type": HTML, "content-security-policy": BY_NONCE}, _with_nonce),
    "/forbids": (200, {"content-type": HTML, "content-security-policy": FORBIDS}, _with_nonce),
    "/shared": (200, {"content-type": HTML, "cache-control": "public, max-age=60"}, _plain),
    "/upgrade": (200, {"content-type": HTML, "content-security-policy": "upgrade-insecure-requests"}, _plain),
    "/cached": (200, {"content-type": HTML, "cache-control": "private, max-age=600"}, _plain),
    "/fragment": (200, {"content-type": HTML}, FRAGMENT.encode()),
    "/gzip": (200, {"content-type": HTML, "content-encoding": "gzip"}, gzip.compress(_plain, mtime=0)),
    "/utf16": (200, {"content-type": "text/html; charset=utf-16"}, PAGE.encode("utf-16")),
    "/kept": (200, {"content-type": HTML, "cache-control": "no-transform"}, _plain),
    "/download": (200, {"content-type": HTML, "content-disposition": 'attachment; filename="a.html"'}, _plain),
    "/signed": (200, {"content-type": HTML, "repr-digest": "sha-256=:AA==:"}, _plain),
    "/part": (206, {"content-type": HTML, "content-range": "bytes 0-9/99"}, _plain[:10]),
    "/error": (500, {"content-type": HTML}, _plain),
    "/xhtml": (200, {"content-type": "application/xhtml+xml"}, _plain),
    "/text": (200, {"content-type": "text/plain"}, _plain),
    "/json": (200, {"content-type": "application/json"}, b'{"html": "<html><head></head></html>"}'),
    "/empty": (200, {"content-type": HTML}, b""),
    "/cut": (200, {"content-type": HTML}, _plain[:100]),
}
CHANGED = ("/items", "/nonce", "/shared", "/cached", "/upgrade", "/parts")
"""Those that get the script; `/parts` is the page in three parts, with its head in the first."""
PARTS = (_plain[:400], _plain[400:500], _plain[500:])
SPLIT = (_plain[:30], b"", _plain[30:])
STREAM = (b"data: 1\n\n", b"data: <html><head></head>\n\n")
