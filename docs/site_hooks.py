# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Hooks of MkDocs: files of the repository that pages link to become part of the site.

Links of the pages are those of the repository (`../../RESULTS.md`), so that they work in a checkout too. On the site,
files outside of `docs/` are under `repository/`; nothing is copied in the repository.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# Pages of the site that are elsewhere in the repository.
PAGES = (
    "RESULTS.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("results/*/README.md"))),
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "lab/README.md",
    "mu2slam_hf/checkpoints/default/README.md",
)
_LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s]+)(#[^)\s]*)?\)")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FOLDER = "repository/"


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages outside of `docs/` and all files that pages link to."""
    documents = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    linked = set(PAGES)
    for document in (*documents, *PAGES):
        for _, target, _ in _LINK.findall((ROOT / document).read_text(encoding="utf-8")):
            path = _resolve(document, target)
            if path is not None and not path.startswith("docs/") and (ROOT / path).is_file():
                linked.add(path)
    for path in sorted(linked):
        files.append(File.generated(config, _FOLDER + path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrites links to repository files; links to folders, which a site cannot show, become plain text."""
    uri = page.file.src_uri
    document = uri.removeprefix(_FOLDER) if uri.startswith(_FOLDER) else f"docs/{uri}"

    def rewrite(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = _resolve(document, target)
        if path is None or not (ROOT / path).exists():
            return match[0]
        if (ROOT / path).is_dir():
            return f"{label[1:-1]} (`{path}`)"
        site_path = path.removeprefix("docs/") if path.startswith("docs/") else _FOLDER + path
        return f"{label}({posixpath.relpath(site_path, posixpath.dirname(uri) or '.')}{anchor})"

    return _LINK.sub(rewrite, _FRONT_MATTER.sub("", markdown))


def _resolve(document: str, target: str) -> str | None:
    """The path of a link's target in the repository; None for other servers and for paths outside of it."""
    if "://" in target or target.startswith(("/", "mailto:")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(document), target))
    return None if path.startswith("..") else path
