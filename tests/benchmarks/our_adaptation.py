"""One adaptation, timed: a child of `adaptation.py`.

python tests/benchmarks/our_adaptation.py FIGURES.json STEPS STEPS KEPT_EVERY IMAGES OUT MODEL INITIALIZER BATCH SEED
    [gradient_checkpointing]

KEPT_EVERY 0: float32, as the other side computes, and nothing kept on the way. Else as `mini` is registered.
"""

import json
import sys
from pathlib import Path

from network_clock import NetworkClock

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import adapt
from models.diffusion.base_model import load_base_model
from models.imaging.arrays import load_image
from models.progress import no_progress
from service.registry import load_base_models
from service.settings import Settings

_TOKEN = "<benchmark-1>"


def main() -> None:
    """Parse the words that the parent gave, adapt, write the figures."""
    figures, first, second, every = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    images, out, model, initializer, batch, seed = *map(Path, sys.argv[5:8]), sys.argv[8], *map(int, sys.argv[9:11])
    clock = NetworkClock()
    clock.install()
    entry = load_base_models(Settings())["mini"]
    base = load_base_model(
        str(model), name=model.name, bfloat16_on_cpu=entry.bfloat16_on_cpu and every > 0,
        gradient_checkpointing="gradient_checkpointing" in sys.argv[11:],
    )  # fmt: skip
    inversion, low_rank = (stage.model_dump() for stage in (entry.adaptation.textual_inversion, entry.adaptation.lora))
    config = AdaptationConfig(
        TextualInversionConfig(**inversion | {"steps": first, "initializer_text": initializer, "batch_size": batch}),
        LoraTrainingConfig(**low_rank | {"steps": second, "batch_size": batch}),
        seed=seed,
        num_kept=-(-second // every) if every else 1,
    )
    outcome = adapt(
        base, [load_image(path, formats=None) for path in sorted(images.iterdir())], config, placeholder_token=_TOKEN,
        out_dir=out / "adapter", checkpoint_dir=out / "checkpoints", progress=no_progress,
    )  # fmt: skip
    clock.finish()
    kept = {name.partition("@")[2]: str(folder) for name, folder in outcome.kept.items() if name.startswith("lora@")}
    figures.write_text(json.dumps(clock.figures() | {"kept": kept}), encoding="utf-8")


if __name__ == "__main__":
    main()
