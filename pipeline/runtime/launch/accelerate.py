"""`accelerate launch` that ends with its parent, and whose errors are one line.

Run as `python -m pipeline.runtime.launch.accelerate`.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence

from pipeline.cli import parent_death
from pipeline.cli.command import EXIT_ERROR
from pipeline.cli.console import say


def main(arguments: Sequence[str]) -> int:
    """Launch with the arguments of accelerate launch; returns an exit code."""
    parent_death.hold()
    os.environ.update(parent_death.for_children())

    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.agent.server import api as agent
    from torch.distributed.elastic.multiprocessing import api as processes
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError, dynamic_rendezvous

    for module in (torchrun, agent, dynamic_rendezvous):  # an ordered stop is an error to them, at length
        module.logger.setLevel(logging.CRITICAL)
    processes.logger.setLevel(logging.ERROR)
    try:
        launch_command(launch_command_parser().parse_args(list(arguments)))
    except processes.SignalException:
        return EXIT_ERROR  # the workers know why
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        end = f"ended with exit code {failure.exitcode}"
        if failure.exitcode < 0:
            end = f"was killed by {signal.Signals(-failure.exitcode).name}"
        say(f"launch: process {rank} {end}; the others were ended")
        return EXIT_ERROR
    except (RendezvousError, ConnectionError, TimeoutError) as error:
        say(f"launch: no connection to the other machines: {error.__cause__ or error}")
        return EXIT_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
