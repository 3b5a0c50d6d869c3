"""Names that a shell would do something with. Each tries to leave a file called canary."""

from __future__ import annotations

NAMES = [
    "with space",
    "two  spaces ",
    " leading",
    "single'quote",
    'double"quote',
    "'; touch canary; '",
    '"; touch canary; "',
    ";rm -rf canary",
    "; touch canary",
    "$(touch canary)",
    "`touch canary`",
    "${IFS}touch",
    "$HOME",
    "| touch canary",
    "&& touch canary",
    "& touch canary &",
    "> canary",
    "-rf",
    "--help",
    "-oProxyCommand=touch canary",
    "new\nline",
    "line\n; touch canary\n",
    "tab\there",
    "back\\slash",
    "star*",
    "question?",
    "[brackets]",
    "{a,b}",
    "host:colon",
    "ünïcode ☃ %n %s",
]
ADDRESSES = [name.replace("/", "") for name in NAMES] + ["-l root", "a;b", "$(x)@host", "host\n"]
