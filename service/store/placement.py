"""Where artefacts are kept: a folder, or an S3-compatible server. The one place that decides it."""

from urllib.parse import urlsplit

from service.settings import Settings
from service.store.artifacts import ArtifactStore, LocalArtifacts


def artifact_store(settings: Settings) -> ArtifactStore:
    """The store that the settings name. Raises ``ValueError`` where its client is not installed.

    Make it after a fork, never before.
    """
    if settings.artifacts_url is None:
        return LocalArtifacts(settings.artifacts_dir)
    try:
        from service.store.artifact_cache import ArtifactCache
        from service.store.s3 import S3Artifacts
        from service.store.s3_bucket import Bucket  # boto3 is an extra, and slow to import
    except ModuleNotFoundError as error:
        raise ValueError(
            f"DEFECTSYNTH_ARTIFACTS_URL is set and {error.name} is not installed: pip install '.[s3]'"
        ) from error
    address = urlsplit(settings.artifacts_url)
    prefix = address.path.strip("/")
    return S3Artifacts(
        Bucket(address.netloc, settings.s3_endpoint_url, settings.s3_region),
        f"{prefix}/" if prefix else "",
        ArtifactCache(settings.artifact_cache_dir, settings.artifact_cache_bytes),
        settings.presigned_download_seconds,
    )
