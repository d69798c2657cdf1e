"""torchrun, which leaves a user's mistake at the sentence that a process has printed.

dist_train.sh and dist_test.sh call it, with torchrun's arguments.
"""

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

USERS_MISTAKE = 2  # the exit code of train.py and test.py, after their sentence


def main() -> None:
    try:
        run.main()
    except ChildFailedError as error:
        if error.get_first_failure()[1].exitcode == USERS_MISTAKE:
            sys.exit(USERS_MISTAKE)
        raise


if __name__ == "__main__":
    main()
