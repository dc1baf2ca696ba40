"""``python -m worker``: the Celery worker, with settings from the environment."""

import os
import sys

# GNU's OpenMP, which torch's threads are on a CPU, reads this once, when torch is loaded: spin for about a tenth of a
# millisecond, then sleep. A core that waits by spinning keeps it from a busy neighbour, beside whom a U-Net's call on
# two cores took 5 to 15 times as long; one that sleeps at once wakes too late for small layers. ACTIVE, because else
# libgomp hardly spins where more threads are in teams than there are cores (gomp_throttled_spin_count_var), as where
# jobs share a worker: each has a team.
os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from service.settings import Settings
from worker.app import run

if __name__ == "__main__":
    sys.exit(run(Settings()))
