"""How a worker's OpenMP threads wait, for what computes here without a worker (see `worker/__main__.py`).

Imported before torch, which reads it once, when it is loaded. What the environment says otherwise stands.
"""

import os

AS_A_WORKER = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "10000"}

for _name, _value in AS_A_WORKER.items():
    os.environ.setdefault(_name, _value)
