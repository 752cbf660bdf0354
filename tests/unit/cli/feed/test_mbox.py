"""Cutting an mbox."""

from __future__ import annotations

import io

from headwater.cli.feed.mbox import cut_mbox


def test_quoted_lines_and_look_alikes_stay_in_the_body() -> None:
    """Only a From_ line after a blank one begins a message; >From is unquoted."""
    text = (
        b"From a@x  Thu Aug 22 12:36:23 2002\nSubject: 1\n\n>From here\n\nFrom now on all is well\n\n"
        b"From b@x  Thu Aug 22 12:36:24 2002\nSubject: 2\n\nbye\n"
    )
    messages = list(cut_mbox(io.BytesIO(text)))
    assert [item.number for item in messages] == [1, 2]
    assert b"\nFrom here\n" in messages[0].content
    assert b"From now on" in messages[0].content


def test_a_huge_message_is_kept_in_part() -> None:
    """Memory is bounded by the part that is kept; the next message is whole."""
    text = (
        b"From a@x  Thu Aug 22 12:36:23 2002\n\n"
        + b"x" * 50
        + b"\n"
        + b"y" * 50
        + b"\n\nFrom b@x 2002\n\nz\n"
    )
    first, second = cut_mbox(io.BytesIO(text), message_bytes_max=60)
    assert len(first.content) == 60
    assert second.content == b"\nz\n"
