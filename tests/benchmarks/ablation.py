"""The paper's ablation through the HTTP API: a markdown table of one row a class and way of making images.

    defectsynth serve &
    python tests/benchmarks/ablation.py FOLDER --sheets SHEETS

FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg. Every way is scored against the test images, which nothing before
has seen, at the same counts, guidance and steps.
"""

import argparse
import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

WAYS: dict[str, dict[str, Any]] = {
    "from noise, unadapted": {"mode": "from_noise", "unadapted": True},
    "from noise, adapted": {"mode": "from_noise"},
    "image-oriented, adapted": {"mode": "image_oriented"},
}


@dataclass(frozen=True)
class Row:
    class_name: str
    way: str
    quality: dict[str, Any]
    seconds: float
    copies: str


class Service:
    """The few calls that are needed, each waiting for its jobs."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=120)

    def post(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        return self._checked(self._http.post(path, json=payload))

    def get(self, path: str) -> dict[str, Any]:
        return self._checked(self._http.get(path))

    def bytes(self, path: str) -> bytes:
        return self._http.get(path).raise_for_status().content

    def upload(self, folder: Path, name: str) -> dict[str, Any]:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(folder.glob("*/*/*")):
                archive.write(path, path.relative_to(folder))
        files = {"archive": ("data.zip", packed.getvalue(), "application/zip")}
        return self._checked(self._http.post("/v1/datasets", files=files, data={"name": name}))

    def done(self, path: str) -> dict[str, Any]:
        while True:
            found = self.get(path)
            if found["state"] in ("succeeded", "failed", "canceled"):
                if found["state"] != "succeeded":
                    raise SystemExit(f"{path} {found['state']}: {[job['failure'] for job in found['jobs']]}")
                return found
            time.sleep(1)

    @staticmethod
    def _checked(response: httpx.Response) -> dict[str, Any]:
        if response.is_error:
            raise SystemExit(f"{response.request.url}: {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json()
        return answer


def rows_of(service: Service, dataset: dict[str, Any], adaptation: dict[str, Any], num_images: int, sheets: Path,
            settings: dict[str, Any]) -> Iterator[Row]:  # fmt: skip
    for way, chosen in WAYS.items():
        asked = chosen | settings
        request = {"adaptation_id": adaptation["id"], "num_images": num_images, "seed": 0, "settings": asked}
        generation = service.done(f"/v1/generations/{service.post('/v1/generations', request)['id']}")
        for job in generation["jobs"]:
            name, made = job["class_name"], job["result"]
            picture = service.bytes(f"/v1/generations/{generation['id']}/classes/{name}/contact-sheet")
            (sheets / f"{name} - {way}.png").write_bytes(picture)
            request = {
                "real": {"source": "dataset", "dataset_id": dataset["id"], "class_name": name, "split": "test"},
                "other": {"source": "generation", "generation_id": generation["id"], "class_name": name},
            }
            evaluation = service.done(f"/v1/evaluations/{service.post('/v1/evaluations', request)['id']}")
            copies = made["quality"]["copies"]
            yield Row(
                name, way, evaluation["result"]["quality"], sum(made["stage_seconds"].values()),
                f"{copies['num_copies']}/{copies['num_checked']}" if copies else "-",
            )  # fmt: skip


def table(rows: list[Row], adapted_seconds: dict[str, float]) -> str:
    lines = [
        "| class | images made | FID | KID | FID at floor's n | FID floor "
        "| KID at floor's n | KID floor | copies | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row.class_name):
        score, matched, floor = (row.quality[key] for key in ("score", "matched", "real_floor"))
        lines.append(
            f"| {row.class_name} | {row.way} | {score['fid']:.1f} | {score['kid']:.3f} ± {score['kid_std']:.3f} "
            f"| {matched['fid']:.1f} | {floor['fid']:.1f} | {matched['kid']:.3f} | {floor['kid']:.3f} "
            f"| {row.copies} | {row.seconds:.1f} |"
        )
    seconds = ", ".join(f"{name} {value:.0f}" for name, value in sorted(adapted_seconds.items()))
    return "\n".join([*lines, "", f"Adaptation, seconds: {seconds}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--sheets", type=Path, default=Path(".sheets"))
    parser.add_argument("--out", type=Path, default=Path(".sheets/table.md"))
    parser.add_argument("--guidance-scale", type=float, default=None)
    parser.add_argument("--strength", type=float, default=None)
    arguments = parser.parse_args()
    arguments.sheets.mkdir(parents=True, exist_ok=True)
    asked = {"guidance_scale": arguments.guidance_scale, "strength": arguments.strength}
    service = Service(arguments.url)
    dataset = service.upload(arguments.folder, arguments.folder.name)
    adaptation = service.post("/v1/adaptations", {"dataset_id": dataset["id"], "classes": "all", "base_model": "mini"})
    adaptation = service.done(f"/v1/adaptations/{adaptation['id']}")
    seconds = {job["class_name"]: sum(job["result"]["stage_seconds"].values()) for job in adaptation["jobs"]}
    settings = {key: value for key, value in asked.items() if value is not None}
    rows = list(rows_of(service, dataset, adaptation, arguments.images, arguments.sheets, settings))
    arguments.out.write_text(table(rows, seconds) + "\n")


if __name__ == "__main__":
    main()
