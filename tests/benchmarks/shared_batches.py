"""Small requests for several adapters that wait at once: one job at a time, and together. A part of `generation.py`."""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from adapted_classes import CONFIG, Class
from PIL import Image
from results_page import markdown_table

from models.diffusion.base_model import BaseModel
from models.generation.denoising import Denoiser, denoise
from models.generation.engine import Sampler
from models.generation.sharing import SharedDenoiser
from models.progress import no_progress
from worker.process import MAX_ROWS
from worker.turns import Turns

#: Images that a request asks for, in turns.
_SMALL = (2, 4, 8)


@dataclass(frozen=True)
class Request:
    """A few images of one class."""

    of: Class
    count: int


Answered = tuple[float, list[Image.Image]]


def answer(base: BaseModel, request: Request, denoiser: Denoiser) -> Answered:
    """The images, and when they were there."""
    sampler = Sampler(base, request.of.conditioning, request.of.sources, CONFIG, 1, no_progress, denoiser)
    made = [sample.image for sample in sampler.draw(range(request.count))]
    return time.perf_counter(), made


def one_at_a_time(base: BaseModel, requests: list[Request]) -> list[Answered]:
    """As a worker does it by itself: a job's own batches, one job after the other."""
    return [answer(base, one, denoise) for one in requests]


def together(base: BaseModel, requests: list[Request], max_jobs: int) -> list[Answered]:
    """Up to ``max_jobs`` under way at once, as a worker does it."""
    turns = Turns()
    denoiser = SharedDenoiser(MAX_ROWS, turns.pass_on)

    def run(request: Request) -> Answered:
        with turns.turn():
            return answer(base, request, denoiser)

    with ThreadPoolExecutor(max_jobs) as threads:
        return list(threads.map(run, requests))


def in_shared_batches(base: BaseModel, of: list[Class], arguments: argparse.Namespace) -> str:
    """The table. All requests are there at the beginning; latency is the time until a request's images are there."""
    rows = []
    for adapters in arguments.adapters:
        requests = [Request(of[number % len(of)], _SMALL[number % len(_SMALL)]) for number in range(max(adapters, 6))]
        requests = [replace(one, of=of[0]) for one in requests] if adapters == 1 else requests
        sides: dict[str, Callable[[list[Request]], list[Answered]]] = {
            "one job at a time": lambda asked: one_at_a_time(base, asked),
            f"{arguments.max_jobs} jobs together": lambda asked: together(base, asked, arguments.max_jobs),
        }
        seconds: dict[str, list[list[float]]] = {name: [] for name in sides}
        images: dict[str, list[list[Image.Image]]] = {}
        for turn in range(arguments.rounds + 1):
            for name, side in sides.items():
                begun = time.perf_counter()
                answered = side(requests)
                images[name] = [made for _, made in answered]
                if turn:
                    seconds[name].append([at - begun for at, _ in answered])
        first = statistics.median(max(one) for one in next(iter(seconds.values())))
        for name, taken in seconds.items():
            whole = statistics.median(max(one) for one in taken)
            rows.append([
                f"{adapters}, {len(requests)}", name, f"{sum(one.count for one in requests) / whole:.2f}",
                f"{first / whole:.2f}", f"{statistics.median(statistics.mean(one) for one in taken):.2f}",
                f"{statistics.median(float(np.quantile(one, 0.95)) for one in taken):.2f}",
                f"{difference(images[name], next(iter(images.values())))}",
            ])  # fmt: skip
    header = ["adapters, requests", "", "images/s", "times", "latency, mean s", "95 %", "grey levels apart"]
    return markdown_table(header, rows)


def difference(some: list[list[Image.Image]], others: list[list[Image.Image]]) -> int:
    """The most that any pixel of any image differs by."""
    pairs = [pair for one, other in zip(some, others, strict=True) for pair in zip(one, other, strict=True)]
    arrays = ((np.asarray(a, dtype=np.int16), np.asarray(b, dtype=np.int16)) for a, b in pairs)
    return max(int(np.abs(a - b).max()) for a, b in arrays)
