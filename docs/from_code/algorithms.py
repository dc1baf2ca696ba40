"""What `models/` offers to its callers, through mkdocstrings."""

_INTRODUCTION = """\
# Algorithms

`models/` holds the algorithms alone: paths, arrays and configurations in, dataclasses out. It knows no HTTP, no queue
and no database, and can be used without the service. These are the modules that the worker calls; the
[method](../method.md) says why they are as they are.
"""
_MODULES = (
    ("Adapting", "models.adaptation.trainer models.adaptation.config models.adapter"),
    ("Generating", "models.generation.engine models.generation.config"),
    (
        "Measuring",
        "models.evaluation.quality models.evaluation.frechet models.evaluation.kernel models.evaluation.density "
        "models.evaluation.gates models.evaluation.copies models.evaluation.intervals models.evaluation.splits",
    ),
    ("Searching", "models.search.search models.search.space models.search.stopping"),
    ("Recognising", "models.recognition.protocol models.recognition.config models.recognition.verdict"),
    ("Errors", "models.errors"),
)


def page() -> str:
    """A section a package."""
    lines = [_INTRODUCTION]
    for title, modules in _MODULES:
        lines += [f"## {title}", ""]
        for module in modules.split():
            lines += [
                f"::: {module}",
                "    options:",
                "      show_root_full_path: true",
                "      show_root_members_full_path: false",
                "",
            ]
    return "\n".join(lines)
