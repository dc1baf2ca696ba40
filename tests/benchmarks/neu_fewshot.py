"""The paper's ablation and the proof by recognition on NEU, as a user of the HTTP API, over several few-shot splits.

    python tests/benchmarks/neu_fewshot.py --data FOLDER          # FOLDER holds images/CLASS/*.jpg and splits.json

It starts a service of its own, whose data stay in --out: a run that was stopped goes on where it was, and nothing is
submitted twice. Test images are uploaded to the split `test`, which adaptation, search, gates and the choice of ratio
never look at; training images are grouped by the strip that they were cut from. Rows of the ablation are made with the
copy gate alone: what is scored is new, and how much had to be made for it is told.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import neu_plan
import results_page
from neu_findings import Findings
from neu_plan import Plan, Split
from neu_rows import SplitRun
from neu_tables import report
from neu_work import Ledger, Work
from rich.console import Console

import defectsynth_client
from defectsynth_client import NewImage
from service.api.views import ReadyView
from service.demo.failure import DemoFailed
from service.demo.http import Client
from service.demo.launch import Service, running_service
from service.registry import load_base_models
from service.settings import Settings

_READY_TIMEOUT_SECONDS = 180.0
_NUM_TRAIN, _NUM_TEST = 20, 100


def main() -> None:
    arguments = _parser().parse_args()
    plan = _plan(arguments)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    try:
        findings = _finished(out) if arguments.report_only else _run(arguments, plan, console)
    except DemoFailed as error:
        raise SystemExit(f"{error}\nRun the same command again to go on.") from error
    except KeyboardInterrupt:
        raise SystemExit("Stopped. Run the same command again to go on.") from None
    text = report(findings.joined([_finished(folder) for folder in arguments.join]))
    (out / "results.md").write_text(text + "\n", encoding="utf-8")
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    if arguments.page is not None:
        results_page.write_section("neu", text, arguments.page)


def _finished(out: Path) -> Findings:
    return Findings.read(out / "findings.json")


def _run(arguments: argparse.Namespace, plan: Plan, console: Console) -> Findings:
    """Every split, one after the other; the findings are kept after each stage."""
    out: Path = arguments.out
    splits = neu_plan.read_splits(arguments.data, plan.classes, plan.num_train, plan.num_test, arguments.splits)
    ledger = Ledger(out / "ledger.json", plan.as_json())
    ledger.worked_on_by(results_page.commit())
    findings = Findings(plan.as_json(), _facts(plan, ledger))
    sheets = out / "sheets"
    sheets.mkdir(exist_ok=True)
    with service_of(out, console) as (service, client):
        work = Work(client, ledger, console, service.check, arguments.retry_failed)
        for split in splits:
            work.say(f"split {split.seed}")
            run = SplitRun(split.seed, plan, work, sheets, findings, out / "findings.json")
            run.all(lambda split=split: _uploaded(split, service.url(), work))  # type: ignore[misc]
    return findings


def _uploaded(split: Split, url: str, work: Work) -> str:
    """The id of a dataset of the split, a class at a time, its training images grouped by their strips."""
    with defectsynth_client.Client(url) as client:
        dataset_id = ""
        for name in split.train:
            strips = neu_plan.strips(split.train[name])
            images = [
                NewImage(name, file, file.name, part, strips.get(file, ""))
                for part, files in (("train", split.train[name]), ("test", split.test[name]))
                for file in files
            ]
            if dataset_id:
                receipt = client.replace_images(dataset_id, name, images)
            else:
                receipt = client.upload(images, name=f"split {split.seed}")
                dataset_id = receipt.id
            for refused in receipt.refused:
                work.say(f"split {split.seed}: {refused.filename} was refused: {refused.reason}")
    return dataset_id


@contextmanager
def service_of(out: Path, console: Console) -> Iterator[tuple[Service, Client]]:
    """A service of the benchmark's own on a free port of loopback; its data stay."""
    own = {
        "data_dir": out / "service", "database_url": None, "broker_url": None, "admin_key": None,
        "host": "127.0.0.1", "port": 0,
    }  # fmt: skip
    settings = Settings().model_copy(update=own)
    with (
        running_service(settings, out / "service.log") as service,
        closing(Client(service.url(), service.check)) as client,
    ):
        with console.status("Starting the service ..."):
            _wait_until_ready(service, client)
        yield service, client


def _wait_until_ready(service: Service, client: Client) -> None:
    give_up_at = time.monotonic() + _READY_TIMEOUT_SECONDS
    while time.monotonic() < give_up_at:
        service.check()
        try:
            if client.get("/health/ready", ReadyView).status == "ready":
                return
        except DemoFailed:
            service.check()  # 503 until everything is there
        time.sleep(0.5)
    raise service.failure(f"The service was not ready within {_READY_TIMEOUT_SECONDS:.0f} seconds.")


def _facts(plan: Plan, ledger: Ledger) -> dict[str, str]:
    folder = Path(load_base_models(Settings())[plan.base_model].path)
    manifest = folder / "manifest.json"
    revision = json.loads(manifest.read_text(encoding="utf-8"))["revision"][:12] if manifest.is_file() else "unpinned"
    return {
        "command": results_page.command(),
        "commits": ", ".join(ledger.commits),
        "machine": results_page.machine(),
        "date": results_page.today(),
        "base_model": f"{plan.base_model} revision {revision}",
    }


def _plan(arguments: argparse.Namespace) -> Plan:
    """The plan of the command line; ``--quick`` is as small as it can be and shows nothing but that it runs."""
    quick: bool = arguments.quick
    classes = arguments.classes or neu_plan.all_classes(arguments.data)
    if quick:
        arguments.splits = arguments.splits[:1]
        classes = classes[:2]
    return Plan(
        classes=tuple(classes),
        base_model=arguments.base_model,
        num_train=8 if quick else _NUM_TRAIN,
        num_test=12 if quick else _NUM_TEST,
        images=8 if quick else arguments.images,
        seeds=2 if quick else arguments.seeds,
        ratios=(0.5, 1.0) if quick else tuple(arguments.ratios),
        max_trials=2 if quick else arguments.max_trials,
        images_per_trial=8 if quick else arguments.images_per_trial,
        token_steps=4 if quick else arguments.token_steps,
        lora_steps=4 if quick else arguments.lora_steps,
        recognition_steps=4 if quick else arguments.recognition_steps,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/CLASS/* and splits.json")
    parser.add_argument(
        "--out", type=Path, default=Path(".neu/fewshot"), help="ledger, figures, sheets, service's data"
    )
    parser.add_argument(
        "--join", type=Path, nargs="+", default=[], help="other --out folders, whose splits stand in the report, too"
    )
    parser.add_argument("--page", type=Path, help="also write the section `neu` of this page, such as docs/results.md")
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--classes", nargs="+", help="all of the splits' when left out")
    parser.add_argument("--base-model", default="mini")
    parser.add_argument("--images", type=int, default=48, help="of each row and class")
    parser.add_argument("--seeds", type=int, default=5, help="classifiers of each arm and ratio")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0])
    parser.add_argument("--max-trials", type=int, default=16)
    parser.add_argument("--images-per-trial", type=int, default=20)
    parser.add_argument("--token-steps", type=int, help="the base model's registered default when left out")
    parser.add_argument("--lora-steps", type=int, help="the base model's registered default when left out")
    parser.add_argument("--recognition-steps", type=int, help="the service's default when left out")
    parser.add_argument(
        "--retry-failed", action="store_true", help="forget units that failed, and what was made from them"
    )
    parser.add_argument("--quick", action="store_true", help="one split, two classes, a few steps: does it run?")
    parser.add_argument("--report-only", action="store_true", help="write the tables from what is finished")
    return parser


if __name__ == "__main__":
    main()
