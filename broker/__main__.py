"""`python -m broker`: the broker alone, with the real server's flags."""

from __future__ import annotations

import sys

from broker.running import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
