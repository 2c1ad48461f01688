"""A module that takes as long to import as a large library on a slow disk."""

import time

time.sleep(60)
