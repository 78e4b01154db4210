"""The pages in a real browser: Chromium without a window, driven by Playwright, without any network."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium on this machine: apt-get install chromium"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

CONTRASTS = Path(__file__).with_name("contrasts.js").read_text()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(run, comparison, tmp_path_factory):
    """Where the two pages lie."""
    folder = tmp_path_factory.mktemp("pages")
    for name, page in (("run", run.page), ("comparison", comparison.page)):
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture
def open_page(chromium, files):
    """Opens a page; in the end nothing may have been complained of, and nothing fetched but the page itself."""
    opened = []

    def go(name="run", scheme="light", width=1200):
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        page, seen = context.new_page(), SimpleNamespace(said=[], fetched=[])
        page.on("console", lambda message: seen.said.append(message.text))
        page.on("pageerror", lambda error: seen.said.append(str(error)))
        page.on("request", lambda request: seen.fetched.append(request.url))
        page.goto((files / f"{name}.html").as_uri())
        opened.append((context, page, seen))
        return page

    yield go
    for context, page, seen in opened:
        assert seen.said == []
        assert [url for url in seen.fetched if not url.startswith("data:")] == [page.url.partition("#")[0]]
        context.close()


def counted(page) -> int:
    """How many rows the list says and shows."""
    said = int(page.inner_text("#count").split()[0])
    assert page.locator("#list li").count() == said
    return said


def test_filters_and_search_keep_the_rows_that_fit_and_reset_brings_back_all(open_page, data_of, run):
    rows, page = data_of(run.page)["rows"], open_page()
    assert counted(page) == 500
    page.select_option("[name=verdict]", "wrong")
    assert counted(page) == sum(not row["right"] for row in rows)
    page.select_option("[name=from]", "test")
    assert counted(page) == sum(not row["right"] and row["from"] == "test" for row in rows)
    page.click("button[type=reset]")
    page.select_option("[name=group]", "sample mended")
    assert counted(page) == 140
    page.fill("[name=least]", "50")
    page.fill("[name=most]", "75")
    # The edit fraction of sample i is i / 560; every fourth from 280 to 420.
    assert counted(page) == 36
    page.click("button[type=reset]")
    page.fill("[name=search]", "  Question 279: ")
    assert counted(page) == 1
    page.fill("[name=search]", "no such text")
    assert counted(page) == 0
    assert page.inner_text("#detail") == "Nothing fits these filters."


def test_keys_move_through_the_list_and_through_the_tokens_which_say_their_reward(open_page, data_of, run):
    page = open_page()
    page.select_option("[name=group]", "sample mended")
    shown = [row for row in data_of(run.page)["rows"] if row["group"] == "mended" and "after" not in row]
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    row = shown[-2]
    assert page.get_attribute("#list [aria-selected=true]", "id") == page.get_attribute(
        "#list", "aria-activedescendant"
    )
    assert row["question"] in page.inner_text("#detail")
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == row["tokens"][3].replace("\n", "↵")
    assert page.is_visible("#tip")
    said = page.inner_text("#tip")
    assert "reward −0.100" in said
    assert f"probability under the GRM {row['probabilities'][3]:.3f}" in said
    assert "changed by the rewrite" in said
    assert "reward −0.100" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Escape")
    assert page.is_hidden("#tip")
    page.hover(".t >> nth=0")
    assert page.is_visible("#tip")
    assert "reward 0.000" in page.inner_text("#tip")


def test_the_rewrite_shows_what_was_inserted_by_more_than_colour(open_page):
    page = open_page()
    page.select_option("[name=group]", "sample mended")
    page.locator("#list li").nth(4).click()
    inserted = page.locator("#detail ins").first
    assert inserted.inner_text() == "now "
    assert inserted.evaluate("e => getComputedStyle(e).borderBottomStyle") == "solid"
    assert "GRM" in page.inner_text(".lineage")


def test_texts_that_mean_harm_are_shown_as_texts_and_run_nothing(open_page, harm):
    page = open_page()
    for number, row in enumerate(page.locator("#list li").all()[:12]):
        row.click()
        assert page.locator("#detail img, #detail script, #list img, #list script").count() == 0, number
    page.fill("[name=search]", "onerror")
    page.locator("#list li").first.click()
    assert "<script>window.hacked=1</script>" in page.inner_text("#detail")
    assert "{{ 7*7 }}" in page.inner_text("#detail")
    page.fill("[name=search]", "neddih")
    assert "⟨U+202E⟩" in page.inner_text("#detail .tokenline")
    assert "\u202e" not in page.inner_text("body")
    page.fill("[name=search]", "a" * 1000)
    assert harm.long in page.inner_text("#detail .diff").replace("\n", "")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("window.hacked") is None


def test_a_script_that_gets_into_the_page_all_the_same_does_not_run(chromium, files):
    page = chromium.new_page()
    page.goto((files / "run.html").as_uri())
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked=1'}))"
    )
    assert page.evaluate("window.hacked") is None
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_paper_as_wcag_aa_asks(open_page, scheme):
    page = open_page(scheme=scheme)
    for kind in ("sample right", "sample mended", "answer broken"):
        page.select_option("[name=group]", kind)
        page.locator("#list li").nth(9).click()
        found = page.evaluate(CONTRASTS)
        assert len(found) > 200
        assert [entry for entry in found if entry[0] < 4.5] == []
    found = open_page("comparison", scheme).evaluate(CONTRASTS)
    assert [entry for entry in found if entry[0] < 4.5] == []


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(15, 18, 22)")])
def test_light_and_dark_follow_the_readers_choice(open_page, scheme, paper):
    assert open_page(scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor") == paper


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_a_narrow_screen_scrolls_in_one_direction_only(open_page, name):
    assert open_page(name, width=400).evaluate("document.documentElement.scrollWidth") == 400


def test_500_rows_are_filtered_without_delay(open_page):
    page = open_page()
    took = page.evaluate("""() => {
      const from = performance.now(), field = document.querySelector("[name=search]");
      for (const text of ["apples", "tom", ""]) {
        field.value = text;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        document.body.offsetHeight;
      }
      return (performance.now() - from) / 3;
    }""")
    assert took < 1000  # milliseconds each; about 20 on an idle machine


def test_two_recipes_are_read_side_by_side(open_page, data_of, comparison):
    page = open_page("comparison")
    assert page.inner_text("#tally") == "Of all problems, rlmec alone solves 40, and sft alone 40."
    row = next(row for row in data_of(comparison.page)["rows"] if row["right"] == [False, True])
    assert counted(page) == 8
    sides = page.locator("#detail .two > div").all_inner_texts()
    assert [side.splitlines()[0] for side in sides] == ["rlmec", "sft"]
    assert "✓ right" in sides[0]
    assert "✗ wrong" in sides[1]
    assert row["texts"][row["said"][1]] in sides[0]
    page.click("#swap")
    assert page.inner_text("#tally") == "Of all problems, sft alone solves 40, and rlmec alone 40."
    assert "sft" in page.locator("#detail .two > div").first.inner_text()
    page.select_option("[name=seed]", "1")
    assert "sft alone solves 20" in page.inner_text("#tally")
    page.select_option("[name=first]", "1")
    page.select_option("[name=second]", "1")
    assert page.inner_text("#tally") == "Choose two different recipes."
