"""What is made for a browser, in a real one: the profile's page, and the trace in speedscope.

`nox -s page` brings selenium and speedscope; Chromium and its driver are the system's.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_profile import PRELUDE
from test_trace import PROGRAM

from support import run_on_lowthreads, wait_until

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium: nox -s page has it")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SPEEDSCOPE = os.environ.get("LOWTHREADS_SPEEDSCOPE")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not on the PATH"
)

# Two locks, of which the second one is waited for twice as often, at two places.
TWO_LOCKS = """
def take_elsewhere(lock):
    with lock:
        pass
one = threading.Lock()
other = threading.RLock()
contend(one, 2, take, 0.05)
contend(other, 2, take, 0.2)
contend(other, 2, take_elsewhere, 0.1)
"""
FIRST = (PRELUDE + TWO_LOCKS).partition("one = ")[0].count("\n") + 1
ONE, OTHER = f"program.py:{FIRST}", f"program.py:{FIRST + 1}"


@pytest.fixture(params=["light", "dark"])
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for each in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    scheme = [{"name": "prefers-color-scheme", "value": request.param}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    run_on_lowthreads(tmp_path, ["--profile=p.html"], PRELUDE + TWO_LOCKS)
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
    browser.get((tmp_path / "p.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def texts(browser: Any, selector: str) -> list[str]:
    return [each.text for each in browser.find_elements("css selector", selector)]


def test_the_picture_and_the_table(page: Any) -> None:
    assert "in 6 waits for " in page.find_element("id", "summary").text
    labels = texts(page, "#picture svg > text")
    assert [label.split(" in ")[0] for label in labels] == [OTHER, ONE]
    boxes = page.find_elements("css selector", "#picture svg rect")
    assert len(boxes) == 3
    widths = [float(box.get_attribute("width")) for box in boxes]
    assert widths[0] > widths[1] > widths[2] > 1  # 0.4 s, 0.2 s, 0.1 s
    assert sum(widths[:2]) == pytest.approx(1000, abs=1)
    rows = texts(page, "#places tbody tr")
    assert len(rows) == 3
    assert "holder at program.py:" in rows[0]


def test_a_part_of_the_picture_tells_more(page: Any) -> None:
    page.execute_script("document.querySelector('#picture rect').focus()")
    told = page.find_element("id", "told").text.splitlines()
    assert told[0].startswith(f"RLock made at {OTHER} in <module>")
    assert told[1].startswith("waited for at program.py:")
    assert told[1].endswith("in 2 of 2 acquisitions")
    assert told[2].startswith("held by holder at program.py:")
    assert told[3].startswith("longest hold: ")


def test_the_table_can_be_sorted_and_completed(page: Any) -> None:
    def column(number: int) -> list[str]:
        return texts(page, f"#places tbody td:nth-child({number})")

    heading = "#places th:nth-child(9)"
    for order in ("descending", "ascending"):
        page.find_element("css selector", heading + " button").click()
        assert page.find_element("css selector", heading).get_attribute("aria-sort") == order
        assert column(9) == sorted(column(9), reverse=order == "descending")
    page.find_element("id", "all").click()
    assert len(column(1)) > 3
    assert any(text.startswith("signal: ") for text in column(9))


def test_text_can_be_read(page: Any) -> None:
    contrast = """
        const rgb = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
        const light = colour => rgb(colour).map(each => each / 255)
            .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
            .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
        const back = light(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll("p, td, th, figcaption, svg text, svg tspan")]
            .map(each => getComputedStyle(each))
            .map(each => light(each.fill != "rgb(0, 0, 0)" ? each.fill : each.color))
            .map(text => (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05));
    """
    assert min(page.execute_script(contrast)) > 4.5


@pytest.mark.skipif(not SPEEDSCOPE, reason="LOWTHREADS_SPEEDSCOPE isn't its folder")
def test_speedscope_shows_the_trace(browser: Any, tmp_path: Path) -> None:
    run_on_lowthreads(tmp_path, ["--trace=trace.json"], PROGRAM)
    trace = (tmp_path / "trace.json").read_bytes()
    names = {
        event["args"]["name"]
        for event in json.loads(trace)["traceEvents"]
        if event["name"] == "thread_name"
    }
    browser.get((Path(str(SPEEDSCOPE)) / "index.html").as_uri() + "#localProfilePath=none.js")
    wait_until(lambda: browser.execute_script("return 'speedscope' in window"), "it is loaded")
    load = "speedscope.loadFileFromBase64('trace.json', arguments[0])"
    browser.execute_script(load, base64.b64encode(trace).decode())
    count = f" (1/{len(names)})\n"

    def is_shown() -> bool:
        text = browser.find_element("css selector", "body").text
        return count in text and any(f"{name} (tid" in text for name in names)

    wait_until(is_shown, "one of the trace's threads is shown")
    assert [each for each in browser.get_log("browser") if "event" in each["message"]] == []
