"""From a folder of defect images to synthetic ones with nothing but `requests`: what a QA tool of any kind has to do.

    DEFECTSYNTH_URL=http://127.0.0.1:8000 python examples/qa_with_requests.py images.zip 24 synthetic.zip

`images.zip` holds one folder a class. With keys, set DEFECTSYNTH_API_KEY. The Python client (client/) does all of this
and more; this script is for tools that cannot have it.
"""

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import requests

URL = os.environ.get("DEFECTSYNTH_URL", "http://127.0.0.1:8000")
SESSION = requests.Session()
if key := os.environ.get("DEFECTSYNTH_API_KEY"):
    SESSION.headers["Authorization"] = f"Bearer {key}"


def checked(answer: requests.Response) -> requests.Response:
    """The answer; a problem (RFC 9457) ends the script with what to do about it."""
    if not answer.ok:
        problem = answer.json()
        sys.exit(f"{problem['title']}: {problem['detail']}. {problem.get('remedy', '')}")
    return answer


def post(path: str, **body: Any) -> Any:
    """Ask for something. The key makes it safe to send again after a lost answer: the work is done once."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    for attempt in range(5):
        try:
            return checked(SESSION.post(URL + path, headers=headers, timeout=600, **body)).json()
        except requests.ConnectionError:
            time.sleep(2**attempt)
    sys.exit(f"{URL} does not answer")


def wait(job: dict[str, Any]) -> None:
    """Ask until the job has ended; 304 says that nothing has changed, Retry-After when to ask again."""
    etag = ""
    while True:
        answer = checked(SESSION.get(URL + job["links"]["self"], headers={"If-None-Match": etag}, timeout=30))
        if answer.status_code == 200:
            job, etag = answer.json(), answer.headers["ETag"]
            print(job["class_name"], job["state"], (job["progress"] or {}).get("stage", ""))
        if job["state"] == "failed":
            sys.exit(f"{job['failure']['message']} {job['failure']['remedy']}")
        if job["state"] in ("succeeded", "canceled"):
            return
        time.sleep(float(answer.headers.get("Retry-After", 1)))


def main(archive: Path, num_images: int, out: Path) -> None:
    """Upload, adapt, generate, download."""
    with archive.open("rb") as stream:
        dataset = post("/v1/datasets", data={"name": archive.stem}, files={"archive": stream})
    for refused in dataset["refused"]:
        print(f"left out: {refused['filename']}: {refused['reason']}. {refused['remedy']}")
    adaptation = post("/v1/adaptations", json={"dataset_id": dataset["id"]})
    for job in adaptation["jobs"]:
        wait(job)
    generation = post("/v1/generations", json={"adaptation_id": adaptation["id"], "num_images": num_images})
    for job in generation["jobs"]:
        wait(job)
    answer = checked(SESSION.get(URL + generation["links"]["archive"], stream=True, timeout=600))
    with answer, out.open("wb") as stream:
        stream.writelines(answer.iter_content(2**16))
    print(f"{out}: synthetic images, a folder a class, with manifest.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
