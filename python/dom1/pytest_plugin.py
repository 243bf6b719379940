# SPDX-License-Identifier: MIT
"""The fixture dom1_guest: guests that end with their test, with their consoles in the report of one that fails.

    def test_boot(dom1_guest):
        guest = dom1_guest("vmlinuz", initrd="initrd.img")
        guest.expect("login:")
"""

import pytest

from dom1.guest import Guest

_guests = pytest.StashKey()


@pytest.fixture
def dom1_guest(request):
    """A function with the parameters of dom1.Guest: returns a guest that is started."""
    guests = request.node.stash.setdefault(_guests, [])

    def start(*arguments, **named):
        guest = Guest(*arguments, **named)
        guests.append(guest)
        return guest.start()

    yield start
    for guest in guests:
        guest.kill()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for guest in item.stash.get(_guests, []):
            report.sections.append((f"console of {guest.name}", guest.console[-16384:]))
            if guest.messages:
                report.sections.append((f"dom1's words on {guest.name}", guest.messages))
