"""The site: `nox -s docs` builds it, with every warning an error."""

import re
from pathlib import Path
from typing import Any

from sphinx.util import logging

import lowthreads

project = "lowthreads"
copyright = "the lowthreads authors"
version = release = lowthreads.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lowthreads {version}"
nitpicky = True
default_role = "code"
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
# What signatures name and the site has no page of.
nitpick_ignore_regex = [
    (r"py:.*", r"(lowthreads|typing|collections|signal|NoReturn|Any|Callable|TextIO)\b.*"),
    (r"py:.*", r"(bool|int|float|str|object|bytes|tuple|dict|list|None|[A-Z]\w*Error|optional)"),
]

ROOT = Path(__file__).resolve().parents[1]
HEADER = ROOT / "csrc" / "lowthreads.h"


def header() -> str:
    """Return the C header's sections, as Markdown."""
    head, *sections = re.split(
        r"^/\* -+ ([^:\n]+?)(?:: .+?)? -+ \*/\n",
        HEADER.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    blocks = [f"```c\n{head.strip()}\n```"]
    for title, code in zip(sections[::2], sections[1::2]):
        blocks.append(f"## {title}\n\n```c\n{code.strip()}\n```")
    return "\n\n".join(blocks)


def read(app: Any, name: str, source: "list[str]") -> None:
    """Fill the header in; links to files beside docs/ are links to their pages here."""
    source[0] = re.sub(r"\]\(\.\./([A-Z_]+\.md)", r"](\1", source[0])
    source[0] = source[0].replace("<!-- lowthreads.h -->", header())


def check_names(app: Any, env: Any) -> None:
    """Warn of public names that no page documents."""
    documented = env.get_domain("py").objects
    for name in lowthreads.__all__:
        if f"lowthreads.{name}" not in documented:
            logging.getLogger(__name__).warning("docs/reference lacks lowthreads.%s", name)


_as_written: "dict[str, list[str]]" = {}


def keep(app: Any, what: str, name: str, obj: Any, options: Any, lines: "list[str]") -> None:
    """Keep an attribute's text from napoleon, which takes what stands before a colon for a type."""
    if what in {"attribute", "property"}:
        _as_written[name] = list(lines)


def put_back(app: Any, what: str, name: str, obj: Any, options: Any, lines: "list[str]") -> None:
    """Put it back."""
    lines[:] = _as_written.pop(name, lines)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep, priority=1)
    app.connect("autodoc-process-docstring", put_back, priority=999)
    app.connect("source-read", read)
    app.connect("env-check-consistency", check_names)
