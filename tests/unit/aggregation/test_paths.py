from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from random import Random

import pytest

from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.panes import Panes
from pipeline.aggregation.paths import path_template

IDS = """
    123 -5 8f3 8f3a 8f3a21c0 abc123 r-12 u_7 2024-05-01 42.json 48.85,2.35
    550e8400-e29b-41d4-a716-446655440000 01890A5D-AC96-774B-BCCE-B302099A8057 {550e8400-e29b-41d4-a716-446655440000}
    01ARZ3NDEKTSV4RRFFQ69G5FAV 0ujtsYcgvSTl8PAuAdqWYSMnLOv 507f1f77bcf86cd799439011 da39a3ee5e6b4b0d3255bfef95601890afd80709
    dQw4w9WgXcQ V1StGXR8_Z5jdHi6B-myT cjld2cjxh0000qzrmn831i7rn tz4a98xxat96iws9zmbrgj3a cus_NffrFeUfNV2Hib aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=
    order-123456 48213-lentil-soup lentil-soup-1a2b3c4d5e lentil-soup-8f3a21c0 anna@example.org anna%40example.org @anna
    deadbeefdeadbeefdeadbeefdeadbeef
"""
WORDS = """
    recipes shopping-list new-menu-ui deadbeef facade cafe v1 v1.2 2fa b2b e2e i18n a11y r2d2 k8s h2o x86-64 sha256 base64 oauth2 h264
    html5 3d 4x4 1st
    step-2 week12 top-10-soups 30-day-plan 5-a-day 2000-calorie-diet low-carb-2024 vitamin-b12 omega3 250kcal index.html app.min.js
    {recipe_id} [id] :id <id> caf%C3%A9-cr%C3%A8me %D0%B1%D0%BE%D1%80%D1%89 рецепт-5 mealPlanGeneratorForFamilies
    antidisestablishmentarianism
"""


@pytest.mark.parametrize("segment", IDS.split())
def test_an_id_is_not_part_of_a_label(segment: str) -> None:
    """What names one thing among many becomes `:id`, wherever in the path it stands."""
    assert path_template(f"/recipes/{segment}") == "/recipes/:id"
    assert path_template(f"/{segment}/recipes/{segment}/edit") == "/:id/recipes/:id/edit"


@pytest.mark.parametrize("segment", WORDS.split())
def test_a_word_stays(segment: str) -> None:
    """A word is kept as it was sent, also with a small number, a year or a version in it, and so is a template."""
    assert path_template(f"/recipes/{segment}/edit") == f"/recipes/{segment}/edit"


@pytest.mark.parametrize(
    ("sent", "template"),
    [
        ("/planner?tab=2&user=anna", "/planner"),
        ("/planner#week-3", "/planner"),
        ("/planner#a?b", "/planner"),
        ("/?q=soup", "/"),
        ("?q=soup", "/"),
        ("#top", "/"),
        ("/", "/"),
        ("https://app.example", "/"),
        ("https://app.example?q=1", "/"),
        ("https://app.example:8443/recipes/17?tab=2#steps", "/recipes/:id"),
        ("capacitor://localhost/planner", "/planner"),
        ("/go/https://app.example/17", "/go/https://app.example/:id"),
        ("recipes/17", "recipes/:id"),
        ("/recipes/17/", "/recipes/:id/"),
    ],
)
def test_only_the_path_is_kept(sent: str, template: str) -> None:
    """Origin, query and fragment are dropped; a slash at the end stays, for it may lead elsewhere."""
    assert path_template(sent) == template


def test_ids_that_libraries_make_are_all_found() -> None:
    """Of random UUIDs and hexadecimal digests not one keeps its name, of random base64 few do."""
    chance = Random(11)
    for _ in range(5_000):
        random_bytes = chance.randbytes(16)
        for made in (str(uuid.UUID(bytes=random_bytes, version=4)), random_bytes.hex()):
            assert path_template(f"/r/{made}") == "/r/:id", made
    base64 = [urlsafe_b64encode(chance.randbytes(16)).decode() for _ in range(1_000)]
    assert sum(path_template(f"/r/{made}") == "/r/:id" for made in base64) > 900  # the others have too few digits to tell


def test_thousands_of_recipes_are_one_series() -> None:
    """Each recipe has a page of its own, and all of them together one pane; what has too many names folds into `:other` and is counted."""
    panes = Panes()
    pages = [f"/recipes/{uuid.UUID(int=i << 60 | i)}" for i in range(3_000)]
    tags = ["/tags/" + "abcdefghij"[i // 10 % 10] + "klmnopqrst"[i % 10] + "xyz"[i // 100] for i in range(130)]
    for offset, page in enumerate([*pages, *tags]):
        event = {"event_type": "web_vital", "source": {"service": "web"}, "properties": vital(page)}
        metric, labels, value = feeds(event)[0]
        panes.fold(0, metric, labels, value, offset, 0)
    counts = {snapshot.labels[1]: snapshot.count for snapshot in panes.changed()}
    assert counts["/recipes/:id"] == 3_000
    assert counts[":other"] == 31
    assert len(counts) == 101


def vital(page: str) -> dict[str, object]:
    return {"name": "LCP", "value": 1200.0, "rating": "good", "page": page}
