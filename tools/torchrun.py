"""Run torchrun, and end a user error with the sentence that a process has printed.

dist_train.sh and dist_test.sh call it, with torchrun's arguments.
"""

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

USER_ERROR = 2  # the exit code of train.py and test.py, after their sentence


def main() -> None:
    try:
        run.main()
    except ChildFailedError as error:
        if error.get_first_failure()[1].exitcode == USER_ERROR:
            sys.exit(USER_ERROR)
        raise


if __name__ == "__main__":
    main()
