"""A person who watches sees what the step says, not what KFP notes; bars are drawn while they move."""

import random

from pipelines.runners.log_filter import LogFilter

NOTE = "[KFP Executor 2026-01-02 03:04:05,678 INFO]: "
OUTPUT = (
    f"{NOTE}Looking for component `train`\n"
    f'{NOTE}Got executor_input:\n{{\n    "inputs": {{\n    }}\n}}\n'
    "epoch 1: train 0.7\n"
    "[KFP Executor 2026-01-02 03:04:05,678 WARNING]: a deprecation\n"
    "error: the loss is not finite\n"
    "[not KFP\n"
    f"{NOTE}Wrote executor output file to /x.\n"
)
SEEN = "epoch 1: train 0.7\n[KFP Executor 2026-01-02 03:04:05,678 WARNING]: a deprecation\n[not KFP\n"


def test_notes_blocks_and_the_error_line_are_left_out_and_all_else_is_shown() -> None:
    assert LogFilter().feed(OUTPUT) == SEEN


def test_how_the_stream_is_cut_into_pieces_does_not_matter() -> None:
    cuts = random.Random(5)
    for _ in range(200):
        screen, left, seen = LogFilter(), OUTPUT, ""
        while left:
            length = cuts.randint(1, 40)
            seen, left = seen + screen.feed(left[:length]), left[length:]
        assert seen == SEEN


def test_an_unfinished_bar_is_drawn_at_once() -> None:
    screen = LogFilter()
    assert screen.feed("\rtrain  10%|#") == "\rtrain  10%|#"
    assert screen.feed("\rtrain  20%|##") == "\rtrain  20%|##"


def test_a_note_that_follows_a_wiped_bar_on_a_terminal_is_left_out() -> None:
    screen = LogFilter()
    seen = screen.feed("\rbar") + screen.feed("\r   \r") + screen.feed(f"{NOTE}Wrote executor output\r\n")
    assert seen == "\rbar\r   \r"


def test_an_unfinished_line_that_may_become_a_note_is_held_back() -> None:
    screen = LogFilter()
    assert screen.feed("[KFP Ex") == ""
    assert screen.feed("plosion\n") == "[KFP Explosion\n"
