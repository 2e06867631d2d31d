"""Run a command that dies with its parent: `python mortal.py PARENT_PID command …`.

A test run that is killed must leave no server behind. On Linux the kernel sends the signal; elsewhere the command just
runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, words = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the kernel was asked.
        if os.getppid() != parent:
            sys.exit("The parent is gone.")
    os.execvp(words[0], words)
