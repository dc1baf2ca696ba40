"""What lists and the queue show of many resources: one statement a question, however many there are.

Jobs come without parameters and results, which are large; reading these here is an error.
"""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session, defer

from service.contracts.ids import TenantId
from service.contracts.jobs import JobState
from service.contracts.recognitions import Verdict
from service.store.base import checked
from service.store.tables import DatasetRow, DatasetVersionRow, GeneratedImageRow, ImageRow, JobRow, VersionImageRow

T = TypeVar("T")
_LIGHT = (defer(JobRow.params, raiseload=True), defer(JobRow.result, raiseload=True))


def jobs_of(session: Session, tenant_id: TenantId, resource_ids: Sequence[str]) -> dict[str, list[JobRow]]:
    """The jobs of each resource, in the order of class names."""
    query = _jobs(checked(JobRow.tenant_id == tenant_id), JobRow.resource_id.in_(resource_ids))
    found: dict[str, list[JobRow]] = {one: [] for one in resource_ids}
    for row in session.scalars(query.order_by(JobRow.class_name, JobRow.created_at, JobRow.id)):
        found[row.resource_id].append(row)
    return found


def running(session: Session, tenant_id: TenantId, most: int) -> list[JobRow]:
    """Those that run, the longest first."""
    query = _jobs(checked(JobRow.tenant_id == tenant_id), JobRow.state == JobState.RUNNING)
    return list(session.scalars(query.order_by(JobRow.started_at, JobRow.id).limit(most)))


def next_queued(session: Session, tenant_id: TenantId, most: int) -> list[JobRow]:
    """The first of those that wait, in the order of their places in the queue."""
    query = _jobs(checked(JobRow.tenant_id == tenant_id), JobRow.state == JobState.QUEUED)
    in_order = query.order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id)
    return list(session.scalars(in_order.limit(most)))


def ended_lately(session: Session, tenant_id: TenantId, most: int) -> list[JobRow]:
    """Those that ended last, however they ended, the latest first."""
    query = _jobs(JobRow.tenant_id == tenant_id, JobRow.finished_at.is_not(None))
    return list(session.scalars(query.order_by(JobRow.finished_at.desc(), JobRow.id.desc()).limit(most)))


def _jobs(*which: ColumnElement[bool]) -> Select[JobRow]:
    return select(JobRow).options(*_LIGHT).where(*which)


def num_asked(session: Session, tenant_id: TenantId, generation_ids: Sequence[str]) -> dict[str, int]:
    """Images that each generation should have."""
    asked = func.sum(JobRow.params["num_images"].as_integer())
    query = select(JobRow.resource_id, asked).where(JobRow.resource_id.in_(generation_ids))
    mine = query.where(checked(JobRow.tenant_id == tenant_id))
    return dict(session.execute(mine.group_by(JobRow.resource_id)).all())


def num_published(session: Session, tenant_id: TenantId, generation_ids: Sequence[str]) -> dict[str, int]:
    """Images that each generation has; those without any are left out."""
    query = select(GeneratedImageRow.generation_id, func.count()).group_by(GeneratedImageRow.generation_id)
    mine = (GeneratedImageRow.tenant_id == tenant_id, GeneratedImageRow.generation_id.in_(generation_ids))
    return dict(session.execute(query.where(*mine)).all())


def verdicts(session: Session, tenant_id: TenantId, recognition_ids: Sequence[str]) -> dict[str, tuple[Verdict, bool]]:
    """What each finished recognition found, and whether it is inconclusive; results of before may not say."""
    told, inconclusive = JobRow.result["verdict"].as_string(), JobRow.result["is_inconclusive"].as_boolean()
    query = select(JobRow.resource_id, told, inconclusive).where(*_succeeded(tenant_id, recognition_ids))
    return {one: (Verdict(verdict), bool(is_doubtful)) for one, verdict, is_doubtful in session.execute(query)}


def kids(session: Session, tenant_id: TenantId, evaluation_ids: Sequence[str]) -> dict[str, float]:
    """The headline score of each finished evaluation."""
    path = ("quality", "score", "kid")
    return _of_results(session, tenant_id, evaluation_ids, JobRow.result[path].as_float())


def _of_results(
    session: Session, tenant_id: TenantId, resource_ids: Sequence[str], value: ColumnElement[T]
) -> dict[str, T]:
    return dict(session.execute(select(JobRow.resource_id, value).where(*_succeeded(tenant_id, resource_ids))).all())


def _succeeded(tenant_id: TenantId, resource_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    mine = (checked(JobRow.state == JobState.SUCCEEDED), checked(JobRow.tenant_id == tenant_id))
    return JobRow.resource_id.in_(resource_ids), *mine


def latest_versions(session: Session, tenant_id: TenantId, dataset_ids: Sequence[str]) -> dict[str, DatasetVersionRow]:
    """The latest version of each dataset."""
    mine = (DatasetVersionRow.tenant_id == tenant_id, DatasetVersionRow.dataset_id.in_(dataset_ids))
    last = select(DatasetVersionRow.dataset_id, func.max(DatasetVersionRow.number)).where(*mine)
    place = tuple_(DatasetVersionRow.dataset_id, DatasetVersionRow.number)
    query = select(DatasetVersionRow).where(*mine, place.in_(last.group_by(DatasetVersionRow.dataset_id)))
    return {row.dataset_id: row for row in session.scalars(query)}


def sizes_of_versions(session: Session, tenant_id: TenantId, version_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Images and classes in each version; one without images is left out."""
    query = (
        select(VersionImageRow.version_id, func.count(), func.count(ImageRow.class_name.distinct()))
        .join(ImageRow, ImageRow.id == VersionImageRow.image_id)
        .where(VersionImageRow.tenant_id == tenant_id, VersionImageRow.version_id.in_(version_ids))
        .group_by(VersionImageRow.version_id)
    )
    return {version_id: (images, classes) for version_id, images, classes in session.execute(query)}


def dataset_names(session: Session, tenant_id: TenantId, dataset_ids: Sequence[str]) -> dict[str, str]:
    """What people called the datasets; those that were deleted are left out."""
    query = select(DatasetRow.id, DatasetRow.name).where(DatasetRow.tenant_id == tenant_id)
    return dict(session.execute(query.where(DatasetRow.id.in_(dataset_ids))).all())


def names_by_version(session: Session, tenant_id: TenantId, version_ids: Sequence[str]) -> dict[str, str]:
    """What people called the dataset of each version."""
    query = select(DatasetVersionRow.id, DatasetRow.name).join(
        DatasetRow, DatasetRow.id == DatasetVersionRow.dataset_id
    )
    mine = (DatasetVersionRow.tenant_id == tenant_id, DatasetVersionRow.id.in_(version_ids))
    return dict(session.execute(query.where(*mine)).all())


def first_of_each_class(session: Session, tenant_id: TenantId, version_id: str, most: int) -> dict[str, list[ImageRow]]:
    """Some images of each class of a version, in the order of file name and id."""
    place = func.row_number().over(partition_by=ImageRow.class_name, order_by=(ImageRow.filename, ImageRow.id))
    ranked = (
        select(ImageRow.id, place.label("place"))
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id == version_id, ImageRow.tenant_id == tenant_id)
        .subquery()
    )
    query = select(ImageRow).join(ranked, ranked.c.id == ImageRow.id).where(ranked.c.place <= most)
    found: dict[str, list[ImageRow]] = {}
    for row in session.scalars(query.order_by(ImageRow.class_name, ranked.c.place)):
        found.setdefault(row.class_name, []).append(row)
    return found
