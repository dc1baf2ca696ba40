"""A page of results: each benchmark owns the section between its markers and says where its figures come from."""

import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results.md"
_TITLE = "# Results\n\nSections that begin with a command were written by it; their figures are not edited by hand.\n"


def write_section(name: str, body: str, page: Path = PAGE) -> None:
    """Replace the section ``name`` of ``page``, or add it at its end."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n{body.strip()}\n{end}\n"
    text = page.read_text(encoding="utf-8") if page.exists() else _TITLE
    if begin in text and end in text:
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2].strip("\n")
        text = before + section + (f"\n{after}\n" if after else "")
    else:
        text = f"{text.rstrip()}\n\n{section}"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def provenance() -> str:
    """Command, commit, machine and date, as they stand above a table."""
    return f"`{command()}`\n\nCommit {commit()}; {machine()}; {today()}"


def command() -> str:
    """What was typed; of folders elsewhere the name alone, which is all that another machine shares."""
    return shlex.join(["python", *(_shown(word) for word in sys.argv)])


def commit() -> str:
    """The checkout's commit, marked where files of it were changed since."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def machine() -> str:
    """Processor, cores, a GPU that was used, and the versions that decide the figures."""
    torch = sys.modules.get("torch")
    card = f", {torch.cuda.get_device_name()}" if torch is not None and torch.cuda.is_initialized() else ""
    return f"{_processor()}, {os.cpu_count()} cores{card}, torch {version('torch')}, diffusers {version('diffusers')}"


def today() -> str:
    """The date, UTC."""
    return datetime.now(UTC).date().isoformat()


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table of GitHub's markdown; ``rows`` are as long as ``header``."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(word: str) -> str:
    path = Path(word).resolve()
    if "/" not in word or not path.exists():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else f".../{path.name}"


def _processor() -> str:
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown processor"
    names = [line.partition(":")[2].strip() for line in facts.splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
