"""Records `rabbitmq.json`: what this tree's `callstitch declare` makes on a RabbitMQ.

python -m tests.compat.recipe.topology
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.compat.declared import TOPOLOGY, definitions, run
from tests.services.rabbitmq import RabbitMQ


def main() -> None:
    node = RabbitMQ()
    try:
        with tempfile.TemporaryDirectory() as directory:
            url = node.make_vhost()
            run("declare", url, Path(directory))
            (found,) = definitions(node, url)
    finally:
        node.close()
    TOPOLOGY.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
