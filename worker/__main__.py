"""``python -m worker``: the Celery worker, with settings from the environment."""

import os
import sys

# A core that waits for another by spinning keeps it from working where something else needs it, too: on two cores with
# one other busy process a U-Net's call then takes 5 to 15 times as long. GNU's OpenMP reads this once, when torch is
# loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from service.settings import Settings
from worker.app import run

if __name__ == "__main__":
    sys.exit(run(Settings()))
