"""Base models that the operator registered; clients choose them by name."""

from fastapi import APIRouter

from service.api.dependencies import PartsOf, Tenant
from service.api.views import BaseModelView, PageView

router = APIRouter(prefix="/v1/base-models", tags=["base models"])


@router.get("")
def list_base_models(parts: PartsOf, tenant: Tenant) -> PageView[BaseModelView]:
    """Registered names, with the settings used for what a client leaves out."""
    views = [
        BaseModelView(name=one.name, revision=one.revision, adaptation=one.adaptation, generation=one.generation)
        for one in parts.base_models.values()
    ]
    return PageView(items=views)
