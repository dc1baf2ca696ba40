"""The page's one entry: its routes on the API's application."""

from fastapi import Depends, FastAPI

from service.web.routes import (
    adaptations,
    datasets,
    evaluations,
    files,
    generations,
    home,
    lists,
    login,
    queue,
    recognitions,
)
from service.web.visits import visit

_BEHIND_A_KEY = (home, lists, datasets, adaptations, generations, recognitions, evaluations, queue)
_OPEN = (login, files)


def install(app: FastAPI) -> None:
    """Serve the page at ``/``. It asks for a key where the API does; the login and the files it needs are open."""
    for one in _BEHIND_A_KEY:  # Whatever a route asks for itself, none is open that should not be.
        app.include_router(one.router, dependencies=[Depends(visit)])
    for other in _OPEN:
        app.include_router(other.router)
