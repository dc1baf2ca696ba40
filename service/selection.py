"""Which adapters a generation uses: one for each class, named directly or through their adaptation."""

from sqlalchemy.orm import Session

from service.contracts.ids import TenantId
from service.contracts.jobs import JobState
from service.contracts.requests import GenerationRequest
from service.errors import Conflict, InvalidRequest, NotFound
from service.store import adaptations, adapters, jobs
from service.store.tables import AdapterRow


def adapters_to_use(session: Session, tenant_id: TenantId, request: GenerationRequest) -> list[AdapterRow]:
    """One adapter a class, in the order of class names. Raises ``NotFound``, ``Conflict``, ``InvalidRequest``."""
    if (request.adaptation_id is None) == (request.adapter_ids is None):
        raise InvalidRequest(
            "either adaptation_id or adapter_ids must be given, and not both",
            field="adaptation_id",
            remedy="Name one finished adaptation, or a list of adapters.",
        )
    wanted = list(request.num_images) if isinstance(request.num_images, dict) else None
    if request.adapter_ids is not None:
        named = [_named(session, tenant_id, one) for one in dict.fromkeys(request.adapter_ids)]
        return _of_classes(_one_a_class(named), wanted)
    assert request.adaptation_id is not None
    return _of_adaptation(session, tenant_id, request.adaptation_id, wanted)


def _named(session: Session, tenant_id: TenantId, adapter_id: str) -> AdapterRow:
    try:
        return adapters.get(session, tenant_id, adapter_id)
    except NotFound as error:
        raise NotFound(error.detail, field="adapter_ids") from error


def _one_a_class(named: list[AdapterRow]) -> dict[str, AdapterRow]:
    by_class: dict[str, AdapterRow] = {}
    for row in named:
        if by_class.setdefault(row.class_name, row) is not row:
            raise InvalidRequest(
                f"adapters {by_class[row.class_name].id!r} and {row.id!r} are both of class {row.class_name!r}",
                field="adapter_ids",
                remedy="Name one adapter a class; make another generation for the other one.",
            )
    return by_class


def _of_classes(by_class: dict[str, AdapterRow], wanted: list[str] | None) -> list[AdapterRow]:
    names = sorted(by_class) if wanted is None else sorted(wanted)
    for name in names:
        if name not in by_class:
            raise InvalidRequest(
                f"there is no adapter for class {name!r}; there are some for {', '.join(sorted(by_class))}",
                code="unknown_class",
                field=f"num_images.{name}",
            )
    return [by_class[name] for name in names]


def _of_adaptation(
    session: Session, tenant_id: TenantId, adaptation_id: str, wanted: list[str] | None
) -> list[AdapterRow]:
    """Every class of the adaptation must be ready, or else the ready ones be named in ``num_images``."""
    adaptations.get(session, tenant_id, adaptation_id)
    states = {row.class_name: JobState(row.state) for row in jobs.of_resources(session, tenant_id, [adaptation_id])}
    by_class = {row.class_name: row for row in adapters.of_adaptations(session, tenant_id, [adaptation_id])}
    for name in wanted if wanted is not None else states:
        if name in states and name not in by_class:
            raise Conflict(
                f"class {name!r} of the adaptation has no adapter: its job is {_told(states[name])}",
                code="adaptation_unfinished",
                field="adaptation_id",
                remedy="Wait for its job, or name the classes that are ready in 'num_images': {\"class\": number}.",
            )
    return _of_classes(by_class, wanted)


def _told(state: JobState) -> str:
    return "succeeded, but the adapter was deleted" if state is JobState.SUCCEEDED else state.value
