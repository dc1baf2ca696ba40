"""The operations that both clients have, each written once.

A descriptor makes one function of ``calls`` a method of either: ``Client.adapt`` gives an ``Adaptation`` and
``AsyncClient.adapt`` a coroutine of one, with the function's own parameters, which type checkers see.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Generic, ParamSpec, Protocol, Self, TypeVar, overload

from defectsynth_client import announcing, calls, downloading, plant, uploading
from defectsynth_client.calling import Call
from defectsynth_client.drivers import AsyncDriver, Core, SyncDriver
from defectsynth_client.models import Page
from defectsynth_client.steps import Plan

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Deed(Protocol[T_co]):
    """What can be planned."""

    def plan(self, core: Core) -> Plan[T_co]:
        """The steps of it."""
        ...


class Operation(Generic[P, T]):
    """A method of both clients."""

    def __init__(self, make: Callable[P, Deed[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: SyncDriver, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncDriver, owner: type) -> Callable[P, Coroutine[object, object, T]]: ...
    def __get__(self, client: SyncDriver | AsyncDriver | None, owner: type) -> object:
        """Bound to a client."""
        if client is None:
            return self

        @functools.wraps(self._make)
        def perform(*args: P.args, **kwargs: P.kwargs) -> T | Coroutine[object, object, T]:
            return client.run(self._make(*args, **kwargs).plan)

        return perform


class Listing(Generic[P, T]):
    """A method of both clients that iterates over a list of any length."""

    def __init__(self, make: Callable[P, Call[Page[T]]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: SyncDriver, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncDriver, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: SyncDriver | AsyncDriver | None, owner: type) -> object:
        """Bound to a client."""
        if client is None:
            return self

        @functools.wraps(self._make)
        def iterate(*args: P.args, **kwargs: P.kwargs) -> Iterator[T] | AsyncIterator[T]:
            return client.pages(self._make(*args, **kwargs))

        return iterate


class Operations:
    """Everything that is asked once and answered once, and the lists."""

    upload = Operation(uploading.upload)
    replace_images = Operation(uploading.replace_images)
    dataset = Operation(calls.dataset)
    datasets = Listing(calls.datasets)
    real_images = Listing(calls.real_images)

    preflight = Operation(calls.preflight)
    adapt = Operation(calls.adapt)
    adaptation = Operation(calls.adaptation)
    adaptations = Listing(calls.adaptations)
    adapter = Operation(calls.adapter)
    adapters = Listing(calls.adapters)

    top_up = Operation(calls.top_up)
    generate = Operation(calls.generate)
    generate_from = Operation(calls.generate_from)
    generation = Operation(calls.generation)
    generations = Listing(calls.generations)
    generation_report = Operation(calls.generation_report)
    synthetic_images = Listing(calls.synthetic_images)
    decide = Operation(calls.decide)
    image_bytes = Operation(calls.image_bytes)
    thumbnail_bytes = Operation(calls.thumbnail_bytes)

    evaluate = Operation(calls.evaluate)
    evaluation = Operation(calls.evaluation)
    evaluations = Listing(calls.evaluations)
    recognise = Operation(calls.recognise)
    recognition = Operation(calls.recognition)
    recognitions = Listing(calls.recognitions)
    recognition_report = Operation(calls.recognition_report)

    job = Operation(calls.job)
    jobs = Listing(calls.jobs)
    cancel = Operation(calls.cancel)
    delete = Operation(calls.delete)
    base_models = Listing(plant.base_models)
    extractors = Listing(plant.extractors)
    classifiers = Listing(plant.classifiers)
    workers = Listing(plant.workers)
    readiness = Operation(plant.readiness)

    create_webhook = Operation(announcing.create_webhook)
    webhook = Operation(announcing.webhook)
    webhooks = Listing(announcing.webhooks)
    change_webhook = Operation(announcing.change_webhook)
    rotate_secret = Operation(announcing.rotate_secret)
    ping_webhook = Operation(announcing.ping_webhook)
    deliveries = Listing(announcing.deliveries)
    replay = Operation(announcing.replay)

    download = Operation(downloading.download)
    download_archive = Operation(downloading.download_archive)
    download_adapter = Operation(downloading.download_adapter)
    download_report = Operation(downloading.download_report)
    download_contact_sheet = Operation(downloading.download_contact_sheet)
