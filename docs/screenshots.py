"""Pictures of the pages that `make demo` leaves, for README and docs/demo.md: MLflow's, Prefect's, and the run report.

    make demo
    .venv/bin/python docs/screenshots.py        needs Chromium (Debian: apt install chromium)

Starts `rlmec ui` and a Prefect server on this RLMEC_HOME, takes the pictures with a real browser, and ends both.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from flows.home import quieten
from flows.serve import standing_server
from flows.server import HOST, answers, reserved_port
from flows.store import Store, open_store
from flows.ui import mlflow_server
from tasks.errors import UserError

IMAGES = Path(__file__).parent / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZE = {"width": 1360, "height": 850}


def main() -> None:
    """Take every picture."""
    quieten()
    store = open_store()
    run = store.pipeline("latest")
    IMAGES.mkdir(exist_ok=True)
    with browser() as page, mlflow(store) as url:
        experiment = f"{url}/#/experiments/{store.experiment}"
        page.goto(url)
        page.wait_for_timeout(5000)
        tidy(page)
        take(page, "mlflow-runs", f"{experiment}/runs", then=expand, wait=5000)
        take(page, "mlflow-run", f"{experiment}/runs/{run.info.run_id}", wait=5000)
        report = store.folder / "artifacts" / run.info.run_id / "artifacts" / "report.html"
        take(page, "report-sample", report.as_uri(), then=open_a_sample)
        with reserved_port() as port, standing_server(port=port) as api:
            stage = store.client.get_run(run.data.tags["rlmec.stage.train_policy"])
            flow_run = stage.data.tags["prefect.flow_run_id"]
            take(page, "prefect-flow", f"{api.removesuffix('/api')}/runs/flow-run/{flow_run}", wait=5000)


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a headless Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        sys.exit("no chromium here: apt install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium.new_page(viewport=SIZE, device_scale_factor=1)
        chromium.close()


@contextmanager
def mlflow(store: Store) -> Iterator[str]:
    """The address of MLflow's server, as `rlmec ui` starts it."""
    more = ["--default-artifact-root", (store.folder / "artifacts").as_uri()]
    with (
        tempfile.TemporaryFile() as said,
        reserved_port() as port,
        mlflow_server(port, store.uri, more, said) as server,
    ):
        url = f"http://{HOST}:{port}"
        while not answers(url):
            if server.poll() is not None:
                raise UserError("MLflow's server did not start: try `rlmec ui`")
        yield url


def take(page: Page, name: str, url: str, then: Callable[[Page], Any] | None = None, wait: int = 3000) -> None:
    """One picture, once the page has come to rest. wait: milliseconds."""
    page.goto(url)
    page.wait_for_timeout(wait)
    if then:
        then(page)
        page.wait_for_timeout(wait)
    page.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


def open_a_sample(page: Page) -> None:
    """A wrong sample with an accepted rewrite, the number of its first punished token shown."""
    page.select_option("select[name=group]", label="wrong, with an accepted rewrite")
    page.evaluate("document.querySelector('#filters').scrollIntoView(); scrollBy(0, -80)")
    page.locator("#detail .t.down").first.hover()


def tidy(page: Page) -> None:
    """MLflow's pages for training models, without its assistant."""
    page.get_by_text("Model training", exact=True).first.click()
    page.get_by_role("button", name="Close").last.click()


def expand(page: Page) -> None:
    """The stages below their run."""
    page.locator(".ag-row button").first.click()


if __name__ == "__main__":
    main()
