"""`python -m world4rl`, as torchrun starts it."""

import sys

from world4rl.cli import main

sys.exit(main())
