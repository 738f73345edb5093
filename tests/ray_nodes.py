"""A Ray cluster of several nodes on this machine, started beside a test: python ray_nodes.py N.

Prints its address when it is ready. Each line on its standard input kills a node, and is answered;
the end of its standard input ends it.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Like a cluster whose machines know each other by a token; but this one is on this machine only.
ENV = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# Ray looks at it when it is loaded, which a test may do in its own process.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
# A lost node is noticed within two seconds instead of half a minute.
IMPATIENT = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}


class Nodes:
    """The cluster, as a test sees it."""

    def __init__(self, process: "subprocess.Popen[str]", env: dict[str, str]) -> None:
        self._process, self.env = process, env
        self.address = self._answer()

    def lose_one(self) -> None:
        """Kill a node, with everything that runs on it."""
        assert self._process.stdin
        self._process.stdin.write("lose\n")
        self._process.stdin.flush()
        assert self._answer() == "lost"

    def _answer(self) -> str:
        assert self._process.stdout
        answer = self._process.stdout.readline().strip()
        assert answer, "the cluster has ended by itself"
        return answer


@contextmanager
def nodes(count: int) -> Iterator[Nodes]:
    env = {**os.environ, **ENV, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    command = [sys.executable, __file__, str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=env) as process:
        try:
            yield Nodes(process, env)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(60)


def main(count: int) -> None:
    warnings.simplefilter("ignore")
    os.environ["RAY_TMPDIR"] = folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    from ray.cluster_utils import Cluster

    common = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_log_monitor": False}
    try:
        head = {"no_monitor": True, "_system_config": IMPATIENT, **common}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        others = [cluster.add_node(wait=False, **common) for _ in range(count - 1)]
        cluster.wait_for_nodes()
        print(cluster.address, flush=True)
        for _ in sys.stdin:
            cluster.remove_node(others.pop(), allow_graceful=False)
            print("lost", flush=True)
        cluster.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # Not the folder of the tests, whose modules are nobody's else to import.
    sys.path.remove(str(Path(__file__).parent))
    main(int(sys.argv[1]))
