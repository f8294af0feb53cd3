"""What contestants gain in one respect and lose in another."""

from frontend.page import Page, component

PAGE = Page(
    path="trade-offs",
    title="Trade-offs",
    nav="Evaluate",
    modules=("trade-offs", "measures", "frontier", "divergence", "charts", "live"),
)


def build() -> None:
    """Draw the page."""
    component("trade-offs")
