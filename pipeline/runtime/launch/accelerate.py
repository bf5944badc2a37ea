"""`python -m pipeline.runtime.launch.accelerate`: accelerate launch that ends with its parent."""

import logging
import os
import sys
from collections.abc import Sequence

from pipeline.cli import parent_death
from pipeline.cli.console import say
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.runtime.launch.exit_status import report_failure


def main(arguments: Sequence[str]) -> int:
    """Run accelerate launch with these arguments, and return an exit code."""
    parent_death.hold()
    os.environ.update(parent_death.for_children())

    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.agent.server import api as agent
    from torch.distributed.elastic.multiprocessing import api as processes
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError, dynamic_rendezvous

    for module in (torchrun, agent, dynamic_rendezvous):  # they log a requested stop as a long error
        module.logger.setLevel(logging.CRITICAL)
    processes.logger.setLevel(logging.ERROR)
    try:
        launch_command(launch_command_parser().parse_args(list(arguments)))
    except processes.SignalException:
        return EXIT_ERROR  # exit_status.FILE has the code of the workers
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        report_failure(rank, failure.exitcode)
        return EXIT_ERROR
    except (RendezvousError, ConnectionError, TimeoutError) as error:
        say(f"launch: no connection to the other machines: {error.__cause__ or error}")
        return EXIT_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
