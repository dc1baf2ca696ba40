"""``python -m worker``: the Celery worker, with settings from the environment."""

import sys

from service.settings import Settings
from worker.app import run

if __name__ == "__main__":
    sys.exit(run(Settings()))
