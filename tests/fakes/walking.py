"""Walks a client's plan against a service that is a function, on a clock that moves by pauses alone."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from defectsynth_client.drivers import Core
from defectsynth_client.retrying import Retries
from defectsynth_client.steps import Pause, Plan, Send, Stream

T = TypeVar("T")
Answer = httpx.Response | httpx.TransportError
NOW: dict[str, object] = {"created_at": "2026-01-02T03:04:05Z"}


def job_json(number: int = 1, state: str = "running", fraction: float = 0.5, **more: object) -> dict[str, object]:
    """A job as the service tells it."""
    progress = {"stage": "lora", "step": 1, "total": 2, "fraction": fraction}
    links = {"self": f"/v1/jobs/job_{number}", "events": f"/v1/jobs/job_{number}/events"}
    return {
        "id": f"job_{number}", "kind": "adaptation", "state": state, "resource_id": "adn_1", "attempts": 1,
        "class_name": f"class {number}", "progress": progress, "revision": 1, "links": links, **NOW, **more,
    }  # fmt: skip


@dataclass
class Walker:
    """``service`` answers requests, or returns what the network does to them."""

    service: Callable[[httpx.Request], Answer]
    total_seconds: float = 60.0
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def core(self) -> Core:
        draw = random.Random(0).random
        return Core(Retries(self.total_seconds, 0.5, 10.0, lambda: self.now, draw), self._new_key)

    def run(self, make: Callable[[Core], Plan[T]]) -> T:
        """The value of the plan."""
        plan = make(self.core)
        try:
            step = next(plan)
            while True:
                if isinstance(step, Pause):
                    self.now += step.seconds
                    self.pauses.append(step.seconds)
                    step = plan.send(None)
                    continue
                try:
                    answer = self._answer(step)
                except httpx.TransportError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    def _answer(self, step: Send | Stream) -> httpx.Response:
        told = step.request
        headers = {**told.headers, **(step.sink.headers() if isinstance(step, Stream) else {})}
        request = httpx.Request(told.method, f"http://service{told.path}", params=told.params, headers=headers,
                                json=told.json)  # fmt: skip
        self.requests.append(request)
        answer = self.service(request)
        if isinstance(answer, httpx.TransportError):
            raise answer
        answer.request = request
        if isinstance(step, Stream) and not answer.is_error and step.sink.begin(answer):
            for piece in answer.iter_bytes(4):
                if not step.sink.take(piece):
                    break
        return answer

    def _new_key(self) -> str:
        self.keys.append(f"key-{len(self.keys)}")
        return self.keys[-1]


def in_turn(*answers: Answer | Callable[[httpx.Request], Answer]) -> Callable[[httpx.Request], Answer]:
    """One answer after the other, and the last one for ever."""
    left = list(answers)

    def answer(request: httpx.Request) -> Answer:
        one = left.pop(0) if len(left) > 1 else left[0]
        return one(request) if callable(one) else one

    return answer


def problem(status: int, code: str = "some_code", **more: object) -> Callable[[httpx.Request], Answer]:
    """A problem document; ``retry_after`` becomes the header."""
    headers = {"Retry-After": str(more.pop("retry_after"))} if "retry_after" in more else {}
    told = {"title": "Title", "status": status, "code": code, "detail": "what happened", **more}
    return lambda _: httpx.Response(status, json=told, headers=headers)
