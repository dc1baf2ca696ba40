"""From the training's checkpoints to the bundled folder: fp16 safetensors in small shards, with a manifest."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image

from models.evaluation.mini import save_mini
from models.prior.decoder_stage import finished_vae
from models.prior.denoiser_stage import trained_denoiser, write_samples
from models.prior.extractor_stage import trained_extractor
from models.prior.pool import drawn_pool
from models.prior.recipe import NOISE_SCHEDULE, Recipe

BUNDLED = Path(__file__).parent / "mini"
_MAX_SHARD = "14MB"


def publish(recipe: Recipe, folder: Path, out_dir: Path = BUNDLED) -> None:
    """Write Stable Diffusion's folder, the extractor, ``manifest.json`` and a picture of samples; the card is kept."""
    pool = drawn_pool(recipe, folder / "pool")
    vae = finished_vae(recipe, folder, "cpu")
    vae.register_to_config(scaling_factor=1.0)
    denoiser, tokenizer, images_seen = trained_denoiser(recipe, pool, folder)
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=denoiser.text_encoder, tokenizer=tokenizer, unet=denoiser.unet,
        scheduler=DDIMScheduler(**NOISE_SCHEDULE), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).to(dtype=torch.float16)  # fmt: skip
    # transformers opens weights in their own dtype and diffusers in float32: a half-precision text encoder would not
    # fit the rest of a stock pipeline.
    pipeline.text_encoder.float()
    staging = folder / "mini"
    shutil.rmtree(staging, ignore_errors=True)
    pipeline.save_pretrained(staging, safe_serialization=True, max_shard_size=_MAX_SHARD)
    save_mini(trained_extractor(recipe, pool, folder), staging / "extractor")
    _write_manifest(recipe, staging, folder, images_seen)
    write_samples(recipe, pool, folder, "cpu")
    with Image.open(folder / "samples.png", formats=["PNG"]) as sheet:
        sheet.convert("L").save(staging / "samples.jpg", quality=80)
    card = out_dir / "README.md"
    if card.exists():
        shutil.copy(card, staging / "README.md")
    for path in staging.rglob("*.safetensors"):
        path.chmod(0o644)  # They are written readable for their owner alone.
    fresh = out_dir.with_name(f"{out_dir.name}.new")
    shutil.copytree(staging, fresh, dirs_exist_ok=True)
    shutil.rmtree(out_dir, ignore_errors=True)
    fresh.rename(out_dir)


def _commit() -> str | None:
    """Of the checkout that the recipe is run in; none outside one."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


def _write_manifest(recipe: Recipe, staging: Path, folder: Path, images_seen: int) -> None:
    files = {
        str(path.relative_to(staging)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(staging.rglob("*"))
        if path.is_file()
    }
    revision = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    seconds = {
        stage: round(torch.load(folder / f"{stage}.pt", map_location="cpu", weights_only=True)["seconds"])
        for stage in ("vae", "decoder", "extractor", "denoiser")
    }
    manifest = {
        "revision": revision, "commit": _commit(), "recipe": asdict(recipe), "denoiser_images_seen": images_seen,
        "training_seconds": seconds, "sha256": files,
    }  # fmt: skip
    (staging / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
