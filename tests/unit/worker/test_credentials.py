import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from service.settings import Settings
from tests.fakes.certificates import Credentials, make_credentials
from tests.fakes.pictures import noise
from worker import app
from worker.credentials import CredentialsUnusable, signing, unsigned
from worker.lineage import SYNTHETIC_XMP, png_bytes
from worker.settings import WorkerSettings

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def configured(given: Credentials) -> WorkerSettings:
    return WorkerSettings(c2pa_certificate=given.certificate, c2pa_key=given.key)


def read_back(png: bytes) -> dict[str, Any]:
    from c2pa import Reader

    with Reader("image/png", io.BytesIO(png)) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


def test_a_signed_picture_says_who_made_it_and_how_and_keeps_its_pixels_and_words(tmp_path: Path) -> None:
    picture = noise(1, (64, 48))
    png = png_bytes(picture, {"synthetic": "true", "seed": 7}, SYNTHETIC_XMP)
    signed = signing(configured(make_credentials(tmp_path)))(png)
    found = read_back(signed)
    assert found["validation_state"] == "Valid"
    claim = found["manifests"][found["active_manifest"]]
    assert claim["signature_info"]["common_name"] == "Plant 7"
    action = next(one["data"] for one in claim["assertions"] if one["label"] == "c2pa.actions.v2")["actions"][0]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)
    with Image.open(io.BytesIO(signed)) as again:
        assert again.tobytes() == picture.tobytes()
        assert (again.info["synthetic"], again.info["seed"]) == ("true", "7")
        assert SOURCE_TYPE in str(again.info["XML:com.adobe.xmp"])


def test_a_changed_pixel_shows(tmp_path: Path) -> None:
    signed = bytearray(signing(configured(make_credentials(tmp_path)))(png_bytes(noise(1, (64, 48)), {})))
    signed[signed.index(b"IDAT") + 40] ^= 1
    codes = {one["code"] for one in read_back(bytes(signed))["validation_status"]}
    assert "assertion.dataHash.mismatch" in codes


def test_nothing_is_signed_unless_the_operator_says_so() -> None:
    assert signing(WorkerSettings()) is unsigned
    with pytest.raises(ValidationError, match="set together or not at all"):
        WorkerSettings(c2pa_key=Path("own.key"))


def test_a_worker_that_cannot_sign_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make_credentials(tmp_path, "one"), make_credentials(tmp_path, "other")
    monkeypatch.setenv("DEFECTSYNTH_WORKER_C2PA_CERTIFICATE", str(one.certificate))
    monkeypatch.setenv("DEFECTSYNTH_WORKER_C2PA_KEY", str(other.key))
    with pytest.raises(CredentialsUnusable, match="does not match"):
        app.run(Settings(data_dir=tmp_path))


def test_unusable_files_and_a_missing_extra_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = make_credentials(tmp_path)
    with pytest.raises(CredentialsUnusable, match="No such file"):
        signing(configured(Credentials(given.certificate, tmp_path / "gone.key")))
    given.key.write_text("not a key")
    with pytest.raises(CredentialsUnusable, match="cannot sign"):
        signing(configured(given))
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(CredentialsUnusable, match=r"pip install '\.\[c2pa\]'"):
        signing(configured(given))
