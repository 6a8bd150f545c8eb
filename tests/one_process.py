"""Runs several command lines of rlcont, one after the other, in this process, each in the folder it is given.

python one_process.py < [[FOLDER, [WORD, ...]], ...] > [{"returncode": ..., "stdout": ..., "stderr": ...}, ...]
"""

import contextlib
import io
import json
import os
import sys

from rlcont.cli.main import main

answers = []
for folder, words in json.load(sys.stdin):
    os.chdir(folder)
    sys.argv = ["rlcont", *words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    answers.append({"returncode": code, "stdout": out.getvalue(), "stderr": err.getvalue()})
json.dump(answers, sys.stdout)
