"""What the operator registered: base models, feature extractors and classifiers. Clients choose them by name."""

from fastapi import APIRouter

from service.api.dependencies import PartsOf, Tenant
from service.api.views import BaseModelView, ClassifierView, ExtractorView, PageView

router = APIRouter(prefix="/v1", tags=["registered models"])


@router.get("/base-models")
def list_base_models(parts: PartsOf, tenant: Tenant) -> PageView[BaseModelView]:
    """Registered names, with the settings used for what a client leaves out."""
    views = [
        BaseModelView(name=one.name, revision=one.revision, adaptation=one.adaptation, generation=one.generation)
        for one in parts.registry.base_models.values()
    ]
    return PageView(items=views)


@router.get("/extractors")
def list_extractors(parts: PartsOf, tenant: Tenant) -> PageView[ExtractorView]:
    """Feature extractors; scores of two of them must never be compared."""
    default = parts.settings.extractor
    views = [
        ExtractorView(name=one.name, kind=str(one.kind), sha256=one.sha256, is_default=one.name == default)
        for one in parts.registry.extractors.values()
    ]
    return PageView(items=views)


@router.get("/classifiers")
def list_classifiers(parts: PartsOf, tenant: Tenant) -> PageView[ClassifierView]:
    """Classifiers that a recognition may train."""
    return PageView(items=[ClassifierView(name=name) for name in parts.registry.classifiers])
