"""MkDocs' hook: pages that are made of the code when the site is built. None of them is committed.

A page is a function without parameters that gives Markdown. What a page lacks in the code (a setting without a
description, say) ends the build with an error that names it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import algorithms
import client_methods
import commands
import error_codes
import http_api
import setting_tables
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every page that is made here."""
    document = http_api.document()
    pages: dict[str, Callable[[], str]] = {
        "reference/http-api.md": lambda: http_api.operations(document),
        "reference/http-data.md": lambda: http_api.data(document),
        "reference/openapi.json": lambda: json.dumps(document, indent=1),
        "reference/errors.md": error_codes.page,
        "reference/command-line.md": commands.page,
        "reference/settings.md": setting_tables.page,
        "reference/python-client.md": client_methods.page,
        "reference/algorithms.md": algorithms.page,
        "reference/changelog.md": lambda: _copied("CHANGELOG.md"),
        "explanation/architecture.md": lambda: _copied("ARCHITECTURE.md"),
        "explanation/mini.md": lambda: _copied("models/prior/mini/README.md"),
    }
    for place, make in pages.items():
        files.append(File.generated(config, place, content=make()))
    return files


def _copied(name: str) -> str:
    """A page of the repository; its links into docs/ are made relative to the site."""
    return (_ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](../")
