"""``python -m cope_ros.check``."""

import sys

from cope_ros.check.command import main

sys.exit(main())
