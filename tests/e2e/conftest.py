"""A browser, and services for it to look at."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, Route, sync_playwright

from service.main import create_app
from service.serving import server_of
from service.settings import Settings
from tests import servers
from tests.fakes.worker_world import ROOT

PROGRAM = "from service.embedded import serve; from service.settings import Settings; serve(Settings())"
#: What axe finds at these levels keeps people out.
GRAVE = ("serious", "critical")
START_SECONDS = 90.0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window. Skips, or fails under `CI=true`, where it is not installed.

    For one file, not for all tests: while Playwright is open, an event loop runs that no other test could have.
    """
    program = servers.chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


#: What htmx says of a request that was cut off, by the next one of its element or by leaving; of one that fails it says
#: htmx:sendError or htmx:responseError.
_CUT_OFF = ("htmx:afterRequest", "htmx:sendAbort")


@dataclass
class Watched:
    """A page, and what went wrong in it. ``expected``: statuses that a test provokes."""

    page: Page
    errors: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    num_cut_off: int = 0

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", self._failed)
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # htmx says "[object Event]" of each stream of events that ends, as they do when all is done.
        if message.type != "error" or message.text == "[object Event]" or message.text.startswith(_CUT_OFF):
            self.num_cut_off += message.text.startswith("htmx:sendAbort")
            return
        if not any(f"status of {one}" in message.text or f"Code {one}" in message.text for one in self.expected):
            self.errors.append(f"console: {message.text}")

    def _failed(self, error: Error) -> None:
        if str(error) == "undefined" and self.num_cut_off:  # the promise of a request that was cut off
            self.num_cut_off -= 1
        else:
            self.errors.append(f"script: {error}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.errors.append(f"asked another host: {request.url}")

    def is_accessible(self) -> None:
        """Nothing serious or critical by axe, in light and dark, narrow and wide; and nothing scrolls sideways."""
        for scheme, width in itertools.product(("light", "dark"), (360, 1920)):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            self.page.set_viewport_size({"width": width, "height": 800})
            found = Axe().run(self.page).response["violations"]
            told = [
                f"{one['id']} ({scheme}, {width} px): {node['html'][:200]}"
                for one in found
                if one["impact"] in GRAVE
                for node in one["nodes"]
            ]
            assert told == [], "\n".join(told)
            assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
                "it scrolls sideways"
            )
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1280, "height": 800})


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of a person who has never been here."""
    with chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True) as context:
        context.set_default_timeout(30_000)
        yield context


@pytest.fixture
def watched(context: BrowserContext) -> Iterator[Watched]:
    """A page in which nothing may go wrong unseen, and which asks no other host for anything."""
    watched = Watched(context.new_page())
    yield watched
    assert watched.errors == []


@dataclass
class Api:
    """The API alone, in this process: it can be stopped and started again on the same port."""

    settings: Settings
    port: int = field(default_factory=servers.free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        app = create_app(self.settings, send=lambda *_: True)
        server = server_of(app, port=self.port, grace_seconds=1)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_for(lambda: server.started)
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=20)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(Settings(data_dir=tmp_path / "data"))


@contextmanager
def embedded(folder: Path, registry: Path) -> Iterator[str]:
    """`defectsynth serve` with a tiny base model, as a process with its own worker; its address."""
    port = servers.free_port()
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "DEFECTSYNTH_DATA_DIR": str(folder / "data"),
        "DEFECTSYNTH_PORT": str(port), "DEFECTSYNTH_DEVICE": "cpu", "DEFECTSYNTH_BASE_MODELS": str(registry),
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    give_up = threading.Event()
    for _ in range(int(seconds / 0.1)):
        if condition():
            return
        give_up.wait(0.1)
    raise AssertionError("it did not come about in time")


def losing_the_first_answer(lost: list[str]) -> Callable[[Route], None]:
    """A network that breaks off once: the service gets the request, and the browser no answer."""

    def handle(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.headers["idempotency-key"])
        route.fetch()
        route.abort("connectionreset")

    return handle
