"""HTML of all kinds, as Hypothesis puts it together: documents, fragments, and what only looks like either."""

from __future__ import annotations

from hypothesis import strategies as st

ATTRIBUTES = (
    "",
    ' lang="en"',
    " data-x='<head>'",
    ' class="a>b"',
    " hidden",
    " title=it's",
    ' a = "x > y"',
    " b=/",
    ' ="c"',
)
COMMENTS = (
    "",
    "\n",
    "<!-- <head> -->",
    "<!-->",
    "<!--->",
    "<!-- a --!>",
    "<?xml version='1.0'?>",
    "<!-- > -- <html> -->",
)
IN_HEAD = (
    "<title>a <head> b</title>",
    '<meta charset="utf-8">',
    "<META NAME=a CONTENT='<script>'>",
    "<base href='/x/'>",
    '<link rel="icon" href="data:,">',
    "<style>a::before { content: '</head><script>'; }</style>",
    "<script>if (1 < 2 && '<head>') 3;</script>",
    "<noscript><p></noscript>",
    "<template><head></template>",
    "\n  ",
    "<!-- </head> <script nonce=no> -->",
)
BEGINS = ("<!doctype html>", "<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>", "")
BODIES = ("<p>text é 東京</p>", "text", "<header><head></header>", "<div title='<head>'>x</div>", "", "<a b='")


def _tag(name: str) -> st.SearchStrategy[str]:
    shown = st.builds("<{}{}>".format, st.sampled_from((name, name.upper())), st.sampled_from(ATTRIBUTES))
    return st.one_of(shown, st.just(""))


documents = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(("", "\ufeff")),
    st.sampled_from(COMMENTS),
    st.sampled_from(BEGINS),
    st.sampled_from(COMMENTS),
    _tag("html"),
    st.sampled_from(COMMENTS),
    _tag("head"),
    st.lists(st.sampled_from(IN_HEAD), max_size=5).map("".join),
    st.sampled_from(("</head>", "</HEAD >", "")),
    st.sampled_from(("<body>", "<BODY class='x>y'>", "")),
    st.sampled_from(BODIES),
)
