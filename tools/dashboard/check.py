"""Looks at `hawser dashboard` with a real Chromium: what the page shows, how soon, and that it follows a run.

Usage: tools/dashboard/check.py HAWSER FOLDER    (HAWSER: the command; pictures go to the folder)
Needs the Python packages hawser and selenium, and Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from selenium import webdriver  # type: ignore[import-not-found,unused-ignore]
from selenium.webdriver.common.by import By  # type: ignore[import-not-found,unused-ignore]

NAMES = ["berlin", "madrid", "oslo", "a name <b>with</b> & marks"]
BOUND_S = 60.0
MEMBER = """
import array, sys, hawser
with hawser.Communicator(sys.argv[1], name=sys.argv[2], listen_address="127.0.0.1") as comm:
    comm.connect()
    while comm.group_size < 4:
        comm.update_topology()
    while True:
        try:
            comm.all_reduce(array.array("f", [1.0] * 1000))
        except hawser.PeerLost:
            pass
"""


def until(what: str, holds: Callable[[], object]) -> float:
    began = time.monotonic()
    while not holds():
        if time.monotonic() > began + BOUND_S:
            sys.exit(f"check: not after {BOUND_S:.0f} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


def main(hawser: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HAWSER_INSECURE": "1"}
    processes: list[subprocess.Popen[str]] = []

    def start(*command: str, shown: bool = True) -> subprocess.Popen[str]:
        output = subprocess.PIPE if shown else subprocess.DEVNULL
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment)
        processes.append(started)
        return started

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        master = start(hawser, "master", "--listen", "127.0.0.1:0")
        assert master.stdout
        address = ""
        while not address:
            found = re.search(r"127\.0\.0\.1:\d+", master.stdout.readline())
            address = found[0] if found else ""
        members = [start(sys.executable, "-c", MEMBER, address, name, shown=False) for name in NAMES]
        dashboard = start(hawser, "dashboard", address, "--listen", "127.0.0.1:0")
        assert dashboard.stdout
        found = re.search(r"http://[0-9.:]+/", dashboard.stdout.readline())
        assert found
        browser.get(found[0])
        paint = browser.execute_script(
            "return performance.getEntriesByType('paint').map(e => [e.name, e.startTime])"
        )
        print("paint:", ", ".join(f"{name} {at:.0f} ms" for name, at in paint))

        def nodes(of: str = ".node") -> set[str]:
            return set(
                browser.execute_script(
                    "return [...document.querySelectorAll(arguments[0])].map(e => e.getAttribute('data-member'))", of
                )
            )

        def text(element: str) -> str:
            return str(browser.execute_script("return document.getElementById(arguments[0]).textContent", element))

        until("four members are drawn", lambda: nodes() == set(NAMES))
        until("the state is told", lambda: text("state") == "all is well")
        browser.save_screenshot(str(folder / "light.png"))
        members[0].send_signal(signal.SIGKILL)
        took = until("the killed member is gone", lambda: "berlin" not in nodes())
        told = until("its loss is told", lambda: "berlin was lost" in text("events"))
        print(f"a killed member is off the map after {took:.2f} s, and told {told:.2f} s later")
        members[1].send_signal(signal.SIGSTOP)
        until("who is waited for is told", lambda: "madrid" in text("flight"))
        until("the one that is waited for is red", lambda: "madrid" in nodes(".node.waited"))
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
        browser.save_screenshot(str(folder / "dark.png"))
        browser.set_window_size(420, 900)
        wide = browser.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
        browser.save_screenshot(str(folder / "phone.png"))
        assert not wide, "the page is wider than a phone"
        master.terminate()
        until("a master that is gone is told", lambda: "cannot connect" in text("state"))
        errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors, errors
        assert not browser.find_elements(By.CSS_SELECTOR, "svg b"), "a name became markup"
        print("check: all is well")
    finally:
        browser.quit()
        for process in processes:
            process.kill()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
