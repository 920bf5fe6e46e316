"""Find what a person would see on the screen, by its accessible name, and press it.

usage: press.py SECONDS APPLICATION ROLE NAME [press|see]   waits until it shows; NAME is a regular expression
       press.py SECONDS APPLICATION tree                    prints all that shows
"""
import re
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi  # noqa: E402


def shows(node):
    states = node.get_state_set()
    return states.contains(Atspi.StateType.SHOWING) and states.contains(Atspi.StateType.VISIBLE)


def walk(node, depth=0):
    if node is None or depth > 60:
        return
    yield node, depth
    for i in range(min(node.get_child_count(), 300)):
        try:
            yield from walk(node.get_child_at_index(i), depth + 1)
        except gi.repository.GLib.GError:
            continue


def all_of(application):
    desktop = Atspi.get_desktop(0)
    for i in range(desktop.get_child_count()):
        app = desktop.get_child_at_index(i)
        if app is not None and re.search(application, app.get_name() or "", re.I):
            yield from walk(app)


def main():
    limit, application, role = float(sys.argv[1]), sys.argv[2], sys.argv[3]
    if role == "tree":
        for node, depth in all_of(application):
            if depth < 2 or shows(node):
                print("  " * depth + node.get_role_name(), repr(node.get_name()))
        return
    name, verb = sys.argv[4], sys.argv[5]
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            for node, _ in all_of(application):
                if node.get_role_name() == role and re.search(name, node.get_name() or "") and shows(node):
                    if verb == "press" and not node.do_action(0):
                        continue
                    print(node.get_name())
                    return
        except gi.repository.GLib.GError:
            pass  # it went away while it was looked at
        time.sleep(0.2)
    sys.exit(f"{application} showed no {role} {name!r} within {limit} s")


main()
