"""Multipart uploads: read within bounds, spooled to disk, and turned into what intake receives."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.contracts.datasets import Split
from service.decoding import ImageLimits, ImageRefusal, check_bytes
from service.errors import InvalidRequest, RequestTooLarge, UnsupportedMedia
from service.intake import Incoming, Upload
from service.intake_layout import checked_class, parts_of, place, short
from service.intake_zip import ZipLimits, opened
from service.settings import Settings

_SPOOLED_IN_MEMORY_BYTES = 64 * 1024
_FIELDS_A_FILE = 3
_OTHER_FIELDS = 10
_FORM_REMEDY = "Send a complete multipart/form-data body (RFC 7578) whose part headers stay below 4 KiB."


@dataclass(frozen=True)
class Form:
    """An upload as it came in. The parallel lists are empty or as long as ``files``."""

    name: str
    files: list[UploadFile]
    archive: UploadFile | None
    classes: list[str]
    splits: list[str]
    groups: list[str]

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(file.size or 0 for file in self._all_files())

    def digest(self) -> str:
        """SHA-256 of everything that was sent, whatever the boundaries between its parts. Blocks."""
        told = [[self.name, *lists] for lists in (self.classes, self.splits, self.groups)]
        files = []
        for file in self._all_files():
            file.file.seek(0)
            files.append([file.filename, hashlib.file_digest(file.file, "sha256").hexdigest()])  # type: ignore[arg-type]
            file.file.seek(0)
        return hashlib.sha256(json.dumps([told, files]).encode()).hexdigest()

    def _all_files(self) -> list[UploadFile]:
        return [*self.files, *([self.archive] if self.archive is not None else [])]


class _WholeForms(MultiPartParser):
    """Stock, but tells whether the form came to its end: the stock one drops a part that breaks off, silently."""

    has_ended = False

    def close(self) -> None:
        """Give back every temporary file at once, those of parts that never ended among them."""
        for file in self._files_to_close_on_error:
            file.close()

    def on_end(self) -> None:
        """The last boundary was read."""
        self.has_ended = True


@asynccontextmanager
async def read_form(request: Request, settings: Settings) -> AsyncIterator[Form]:
    """Spool the body; its temporary files are gone after the block.

    Raises ``UnsupportedMedia``, ``RequestTooLarge`` and ``InvalidRequest``.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedMedia("the body is not multipart/form-data")
    max_files = settings.max_files_per_request
    parser = _WholeForms(
        request.headers, request.stream(), max_files=max_files, max_fields=max_files * _FIELDS_A_FILE + _OTHER_FIELDS
    )
    parser.spool_max_size = _SPOOLED_IN_MEMORY_BYTES
    try:
        data = await parser.parse()
        if not parser.has_ended:
            raise InvalidRequest(
                "the form breaks off before its last boundary", code="invalid_form", remedy=_FORM_REMEDY
            )
        yield _form(data)
    except MultiPartException as error:
        raise _form_error(error, max_files) from error
    finally:
        parser.close()


def _form_error(error: MultiPartException, max_files: int) -> InvalidRequest | RequestTooLarge:
    if error.message.startswith("Too many"):
        return RequestTooLarge(
            f"the form holds too many parts: {max_files} files are allowed (max_files_per_request)",
            code="too_many_files",
            field="images",
            remedy="Send one zip as 'archive', which may hold more.",
        )
    return InvalidRequest(f"the form cannot be read: {error.message}", code="invalid_form", remedy=_FORM_REMEDY)


def _form(data: FormData) -> Form:
    for field in data:
        if field not in ("name", "images", "archive", "classes", "splits", "groups"):
            raise InvalidRequest(
                f"there is no form field {field!r}",
                field=field,
                remedy="Use 'images' or 'archive', and 'name', 'classes', 'splits', 'groups'.",
            )
    archives = _files(data, "archive")
    names = _texts(data, "name")
    form = Form(
        name=names[0] if names else "dataset",
        files=_files(data, "images"),
        archive=archives[0] if archives else None,
        classes=_texts(data, "classes"),
        splits=_texts(data, "splits"),
        groups=_texts(data, "groups"),
    )
    _check(form, len(archives))
    return form


def _check(form: Form, num_archives: int) -> None:
    if num_archives > 1:
        raise InvalidRequest("more than one archive was sent", field="archive", remedy="Send one zip a request.")
    if (form.archive is None) == (not form.files):
        raise InvalidRequest(
            "either image files or one archive must be sent, and not both",
            field="images",
            remedy="Send files as 'images', or one zip as 'archive'.",
        )
    if not 1 <= len(form.name) <= 200:
        raise InvalidRequest("the name must have 1 to 200 characters", field="name")
    for field, values in (("classes", form.classes), ("splits", form.splits), ("groups", form.groups)):
        if values and len(values) != len(form.files):
            raise InvalidRequest(
                f"there are {len(values)} {field} for {len(form.files)} images",
                field=field,
                remedy=f"Send one of '{field}' for each of 'images', in the same order, or none.",
            )


def _files(data: FormData, field: str) -> list[UploadFile]:
    values = data.getlist(field)
    files = [value for value in values if isinstance(value, UploadFile)]
    if len(files) != len(values):
        raise InvalidRequest(
            f"{field!r} holds text where a file is expected", field=field, remedy="Send it as a file with a filename."
        )
    return files


def _texts(data: FormData, field: str) -> list[str]:
    values = data.getlist(field)
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values):
        raise InvalidRequest(f"{field!r} holds a file where text is expected", field=field)
    if any("\0" in text for text in texts):
        raise InvalidRequest(f"{field!r} holds a NUL character", field=field)
    return texts


@contextmanager
def upload_of(
    form: Form, settings: Settings, before_each: Callable[[], None], class_name: str | None = None
) -> Iterator[Upload]:
    """What intake receives, readable inside the block. Blocks: call it outside the event loop.

    ``before_each`` image is called and may raise. ``class_name`` puts every file into that class. Raises
    ``InvalidRequest``, ``ArchiveUnusable``, ``RequestTooLarge``.
    """
    if form.archive is None:
        yield replace(_upload_of_files(form, image_limits(settings), class_name), before_each=before_each)
        return
    limits = ZipLimits(
        image_limits(settings), settings.max_zip_entries, settings.max_zip_expansion_ratio,
        settings.max_zip_expanded_bytes,
    )  # fmt: skip
    with opened(form.archive.file, limits) as contents:
        if len(contents.members) > settings.max_images_per_upload:
            raise RequestTooLarge(
                f"the archive holds {len(contents.members)} files and {settings.max_images_per_upload} are allowed "
                "(max_images_per_upload)",
                code="too_many_files",
                field="archive",
            )
        images = [
            Incoming(one.path, one.placement.class_name, one.placement.filename, one.placement.split, None, one.read)
            for one in contents.members
        ]
        yield Upload(images, contents.refused, contents.class_names, before_each)


def image_limits(settings: Settings) -> ImageLimits:
    """What one image may have, as the settings say."""
    return ImageLimits(
        settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side_px, settings.min_image_side_px
    )


def _upload_of_files(form: Form, limits: ImageLimits, class_name: str | None) -> Upload:
    upload = Upload()
    splits = [_split(text) for text in form.splits] or [None] * len(form.files)
    groups: Sequence[str] = form.groups or [""] * len(form.files)
    for index, (file, split, group) in enumerate(zip(form.files, splits, groups, strict=True)):
        path = file.filename or f"image-{index}"
        try:
            check_bytes(file.size or 0, limits)
            image = _incoming(file.file, path, class_name or (form.classes[index] if form.classes else None), split)
        except ImageRefusal as refusal:
            upload.refused.append(refusal.of(path[:255]))
            continue
        upload.images.append(_grouped(image, group))
        upload.class_names.add(image.class_name)
    return upload


def _incoming(file: BinaryIO, path: str, class_name: str | None, split: Split | None) -> Incoming:
    """The class and split named beside the file go before those in its path. Raises ``ImageRefusal``."""

    def read() -> BinaryIO:
        file.seek(0)
        return file

    if class_name is not None:
        return Incoming(path[:255], checked_class(class_name), short(path), split, None, read)
    placement = place(parts_of(path))
    return Incoming(path[:255], placement.class_name, placement.filename, split or placement.split, None, read)


def _grouped(image: Incoming, group: str) -> Incoming:
    if len(group) > 255:
        raise InvalidRequest("a group's name may have 255 characters", field="groups")
    return Incoming(image.path, image.class_name, image.filename, image.split, group or None, image.read)


def _split(text: str) -> Split | None:
    """Empty means: none given."""
    if not text:
        return None
    try:
        return Split(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{text!r} is not a split", field="splits", remedy="Use train, validation or test, or leave it empty."
        ) from error
