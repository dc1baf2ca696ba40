"""One class at several strengths: what a default strength is chosen by. A markdown table and a sheet.

    python tests/benchmarks/strengths.py TRAIN_FOLDER REFERENCE_FOLDER --sheet SHEET.png

Adapts `mini` to the images of TRAIN_FOLDER at its registered settings, makes images at each strength and from noise,
and scores them against REFERENCE_FOLDER. On the sheet the real images stand above one row a strength.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from models.adaptation.trainer import adapt
from models.adapter import Adapter, load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.evaluation.copies import CopyGate
from models.evaluation.features import extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import kernel_distance
from models.evaluation.mini import load_mini
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, encode_sources
from models.imaging.arrays import load_image
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from service.registry import load_base_models
from service.settings import Settings
from worker.jobs.adaptation import configured

STRENGTHS = (0.15, 0.2, 0.3, 0.4, 0.6)
CELL_PX, SHOWN = 128, 8


def images_in(folder: Path) -> list[Image.Image]:
    return [load_image(path, formats=None) for path in sorted(folder.iterdir())]


def adapted(base: BaseModel, train: list[Image.Image]) -> Adapter:
    config = configured(load_base_models(Settings())["mini"].adaptation)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapt(base, train, config, placeholder_token="<class-1>", out_dir=folder / "adapter",
              checkpoint_dir=folder / "checkpoints", progress=no_progress)  # fmt: skip
        return load_adapter(folder / "adapter")


def row(images: list[Image.Image]) -> np.ndarray:
    cells = [np.asarray(image.convert("RGB").resize((CELL_PX, CELL_PX))) for image in images[:SHOWN]]
    return np.concatenate(cells, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--sheet", type=Path, default=Path(".sheets/strengths.png"))
    arguments = parser.parse_args()
    entry = load_base_models(Settings())["mini"]
    base, extractor = (
        load_base_model(entry.path, name="mini", bfloat16_on_cpu=entry.bfloat16_on_cpu),
        load_mini(Path(entry.path) / "extractor"),
    )
    train, reference = images_in(arguments.train), extract(extractor, images_in(arguments.reference))
    gate = CopyGate.fit(train, extract(extractor, train))
    adapter = adapted(base, train)
    prompts, sources = Conditioning.of_adapter(adapter, base), encode_sources(base, train, FitPolicy.RESIZE)
    lines, rows = ["| strength | FID | KID | copies |", "|---|---|---|---|"], [row(train)]
    for strength in (*STRENGTHS, None):
        mode = GenerationMode.FROM_NOISE if strength is None else GenerationMode.IMAGE_ORIENTED
        config = GenerationConfig(
            mode, strength or 1.0, entry.generation.guidance_scale, entry.generation.num_inference_steps
        )
        sampler = Sampler(base, prompts, sources, config, 0, no_progress)
        made = [sample.image for sample in sampler.samples(range(arguments.images))]
        features = extract(extractor, made)
        fid, kid = frechet_distance(reference, features), kernel_distance(reference, features).kid
        copies = sum(verdict.is_copy for verdict in gate.judge(made, features, [()] * len(made)))
        lines.append(f"| {strength or 'from noise'} | {fid:.1f} | {kid:.3f} | {copies} of {len(made)} |")
        rows.append(row(made))
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(arguments.sheet)
    arguments.sheet.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
