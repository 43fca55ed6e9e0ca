"""The desktop in the browser, as far as its pixels tell."""

from playwright.sync_api import Page, expect

FIRST_BUTTON = {"x": 90, "y": 155}
"""Where the board has it, below the bar of the page."""
BLANK, BOARD = [0, 0, 0], [36, 50, 63]
PIXEL = """() => {
    const canvas = document.querySelector("#screen canvas")
    const [x, y] = [canvas.width / 2, canvas.height / 2]
    return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3))
}"""


def middle(page: Page) -> list[int]:
    """Return the colour in the middle of the screen, where windows come up."""
    found: list[int] = page.evaluate(PIXEL)
    return found


def wait_for_board(page: Page) -> None:
    """Wait until the board is there and nothing hides it."""
    expect(page.locator("#status")).to_have_text("Connected", timeout=60_000)
    for _ in range(120):
        if middle(page) == BOARD:
            # Buttons follow their background.
            return page.wait_for_timeout(1000)
        page.wait_for_timeout(500)
    raise AssertionError("the board did not come")


def wait_for_window(page: Page) -> None:
    """Wait until a window has come up over the board."""
    for _ in range(120):
        if middle(page) not in (BLANK, BOARD):
            return
        page.wait_for_timeout(500)
    raise AssertionError("no window came")
