"""Numbers and links in free text."""

from __future__ import annotations

import pytest

from schemas.masking import mask_number, mask_shortly, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caller +8613800000021 rang", "caller +86*********21 rang"),
        ("from 13800000021, to +8617010000002", "from *********21, to +86*********02"),
        ("https://obs.example.com/a.wav?Signature=x and more", "https://obs.example.com/... and more"),
        ("tel:13800000021 A13800000021 _13800000021", "tel:*********21 A*********21 _*********21"),
        ("138-0000-0021 or +86-138-0000-0021", "***********21 or +86" + "*" * 12 + "21"),
        ("port 8080, revision 12", "port 8080, revision 12"),
        ('{"caller":"+8613800000021"}', '{"caller":"+86*********21"}'),
        ("s3://bucket/x", "s3://bucket/x"),
    ],
)
def test_free_text_shows_no_number_and_no_link(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_session_id_stays_readable() -> None:
    session = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
    assert masked(f"call huawei:{session}") == f"call huawei:{session}"


def test_a_number_keeps_its_country_and_its_last_two_digits() -> None:
    assert mask_number("+8613800000021") == "+86" + "*" * 9 + "21"
    assert mask_shortly("+8613800000021") == "+86..21"
    assert mask_shortly("21") == "21"
