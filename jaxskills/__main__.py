"""Runs the command line as `python -m jaxskills`."""

import sys

from jaxskills.cli.main import main

sys.exit(main())
