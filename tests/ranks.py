"""One rank of a run on many devices, for tests: `python ranks.py [--die-at STEP] train …` is `sat2map train …`.

With --die-at, rank 1 is killed as it begins that step, in the middle of what the ranks do together.
"""

import os
import signal
import sys

from sat2map.cli.main import main
from sat2map.training import loop

if sys.argv[1] == "--die-at":
    last, straight = int(sys.argv[2]), loop.Run.advance
    del sys.argv[1:3]

    def advance(self: loop.Run):
        if self.step == last and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return straight(self)

    loop.Run.advance = advance  # type: ignore[method-assign]

sys.exit(main())
