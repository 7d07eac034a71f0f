# Runs tests that are functions of a place: a folder with processes in it, of which nothing may be left. TAP.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import os
import shutil
import signal
import tempfile
import time
import traceback

from wire import command_line, descendants, reap, stat_of, wait_for


class Skip(Exception):
    pass


def close_clients(place):
    for c in getattr(place, 'clients', ()):
        c.close()


def run_one(f, make_place):
    """What is wrong, as text, or None. A place has `routers`, which are to stop, and may have `clients`."""
    base = tempfile.mkdtemp(prefix='hira-test-')
    place = make_place(base)
    try:
        f(place)
        close_clients(place)
        for r in place.routers:
            r.stop()
        wait_for(lambda: reap() or not descendants(), 'all processes to end: ' +
                 str([(p, stat_of(p), command_line(p)) for p in descendants()]))
        return None
    except Skip:
        raise
    except Exception:
        return traceback.format_exc() + ''.join('\n' + r.log()[-3000:] for r in place.routers)
    finally:
        close_clients(place)
        for p in descendants():
            try:
                os.kill(p, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
        reap()
        shutil.rmtree(base, ignore_errors=True)


def run_all(tests, make_place):
    """Each in a place of its own. How many failed."""
    failed = 0
    for i, f in enumerate(tests, 1):
        name = f.__name__.replace('_', ' ')
        start = time.time()
        try:
            problem = run_one(f, make_place)
        except Skip as why:
            print(f'ok {i} - {name} # SKIP {why}', flush=True)
            continue
        print(f'{"not ok" if problem else "ok"} {i} - {name}\n# {time.time() - start:.2f} s', flush=True)
        if problem:
            failed += 1
            print(''.join('# ' + line + '\n' for line in problem.splitlines()), flush=True)
    return failed
